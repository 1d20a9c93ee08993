"""What a hub says to a device over one connection: pure, with the time passed in, so that each can be read and tested
as a table. Radio and serial sessions carry it out; a device that only speaks needs none.

A conversation never says what inflates a cuff, deletes records or resets a device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """Now. `seconds` is monotonic; `local` is the wall time where the patient lives, without a zone, or None while the
    hub does not know it: a clock is never set by a hub that does not know the time."""

    seconds: float
    local: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the hub knows of the device when a connection begins: the `position` that was last remembered, who of a
    scale's users is read, with the consent code that somebody once set at the scale, and whether its waveform is
    wanted beside its readings."""

    position: str | None = None
    user_index: int | None = None
    consent_code: int | None = None
    wants_waveform: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Hand these bytes to the device; `characteristic` is empty on a serial line. `acknowledged` is Bluetooth's write
    with response. `after_stored` waits until all that was heard is on the disk: the device may forget it then."""

    payload: bytes
    characteristic: str = ""
    acknowledged: bool = True
    after_stored: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Read a characteristic's value; it comes back through `hear`."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Finish:
    """All is said and heard. The link is ended, and the device left alone for `pause_seconds`."""

    pause_seconds: float


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """All that is needed was heard. When the link ends now, whoever ends it, the device is left alone for
    `pause_seconds`: many end it themselves, and one that is connected again at once never sleeps."""

    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """The device does not do what it should; `reason` is one sentence for a technician. The link stays."""

    reason: str


@dataclass(frozen=True, slots=True)
class Remember:
    """All that was heard up to here need not be asked for again: `position` is handed to the next conversation. It is
    kept only after the readings before it are."""

    position: str


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """The device's clock is ahead of the hub's by `offset_seconds`, or behind; None when the device says no time.
    `is_set`: it has been set since."""

    offset_seconds: float | None
    is_set: bool


Step = Write | Read | Finish | LeaveAlone | Trouble | Remember | ClockMeasured


class Conversation(Protocol):
    """One connection's. Steps are carried out in order; what is heard in between is handed in as it comes."""

    @property
    def wakes_at_seconds(self) -> float | None:
        """When `wake` is wanted, on `Moment.seconds`; None for not at all."""
        ...

    def begin(self, now: Moment) -> Sequence[Step]:
        """All subscriptions stand, or the line is open."""
        ...

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """What the device said; it has been decoded already, and is looked at here only for what to say next."""
        ...

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """The device refused a step, or has not the characteristic: an answer too."""
        ...

    def wake(self, now: Moment) -> Sequence[Step]:
        """The time that was waited for has come."""
        ...


Converse = Callable[[], Conversation]
"""Begins a conversation on a new connection."""

ConverseKnowing = Callable[[Known], Conversation]
"""Begins one that goes on where an earlier one ended."""


class Together:
    """Several conversations on one connection. Each hears everything, and knows its own steps by what they say."""

    def __init__(self, *conversations: Conversation) -> None:
        self._conversations = conversations

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        times = [time for one in self._conversations if (time := one.wakes_at_seconds) is not None]
        return min(times, default=None)

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return [step for one in self._conversations for step in one.begin(now)]

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return [step for one in self._conversations for step in one.hear(characteristic, payload, now)]

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return [answer for one in self._conversations for answer in one.refused(step, now)]

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        due = [one for one in self._conversations if (one.wakes_at_seconds or now.seconds + 1) <= now.seconds]
        return [step for one in due for step in one.wake(now)]
