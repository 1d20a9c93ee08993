"""From an error to what comes next: wait, or give up. Pure, so that it can be read and tested as a table.

Waits grow with the failures in a row and are spread by jitter: twenty devices that come back into range together
must not ask the one radio together. A hub gives up only on a device that answers and is not what it is configured
as; whatever may heal by itself is tried for ever.
"""

from dataclasses import dataclass

from bedside_agent.radio.central import (
    AccessRefusedError,
    CallTimedOutError,
    CharacteristicMissingError,
    ConnectFailedError,
    DeviceNotFoundError,
    KeyRefusedError,
    LinkLostError,
    PairingFailedError,
    RadioBusyError,
    RadioError,
    RadioUnavailableError,
    SlotsExhaustedError,
    SlotYieldedError,
)

WRONG_DEVICE_ATTEMPTS = 5
"""Some devices show part of their services while they wake up; five times the same is no accident."""


YIELDED_SECONDS = 15.0
"""How long one that made room for another stays away: long enough for another to be read, shorter than the time for
which a device can be heard after a measurement."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again until a person changed something."""

    reason: str


Decision = Wait | GiveUp


@dataclass(frozen=True, slots=True)
class _Ladder:
    first_seconds: float
    longest_seconds: float

    def wait(self, failures: int, jitter: float) -> Wait:
        step = min(self.first_seconds * 2 ** min(failures - 1, 16), self.longest_seconds)
        return Wait(step * (0.5 + 0.5 * jitter))


_LADDERS: tuple[tuple[type[RadioError], _Ladder], ...] = (
    # The search itself waits already, and listening costs the device nothing.
    (DeviceNotFoundError, _Ladder(0.5, 2)),
    # Its place in the queue is kept; it must still be heard before it waits again.
    (SlotsExhaustedError, _Ladder(1, 10)),
    # A link that has just worked is worth an immediate attempt: every second of gap is a second unmonitored.
    (LinkLostError, _Ladder(0.25, 15)),
    (ConnectFailedError, _Ladder(0.5, 30)),
    (CallTimedOutError, _Ladder(1, 60)),
    (RadioUnavailableError, _Ladder(0.5, 10)),
    # The attempt of another program, or of one that was cancelled, ends within seconds.
    (RadioBusyError, _Ladder(1, 20)),
    # A device that was put into its pairing mode stays in it for a minute, or until its next measurement.
    (KeyRefusedError, _Ladder(2, 60)),
    (PairingFailedError, _Ladder(5, 120)),
    # A person must pair it; asking often only drains the device.
    (AccessRefusedError, _Ladder(15, 300)),
    (CharacteristicMissingError, _Ladder(5, 60)),
)
_OTHER = _Ladder(1, 60)


def decide(error: RadioError, failures: int, jitter: float) -> Decision:
    """What to do after `failures` failures in a row (at least 1), this one included; `jitter` is in [0, 1)."""
    if isinstance(error, CharacteristicMissingError) and failures >= WRONG_DEVICE_ATTEMPTS:
        return GiveUp(error.reason)
    if isinstance(error, SlotYieldedError):
        return _Ladder(YIELDED_SECONDS, YIELDED_SECONDS).wait(1, jitter)
    for kind, ladder in _LADDERS:
        if isinstance(error, kind):
            return ladder.wait(failures, jitter)
    return _OTHER.wait(failures, jitter)
