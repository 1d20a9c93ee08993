import pytest

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
from bedside_agent.radio.patience import WRONG_DEVICE_ATTEMPTS, GiveUp, Wait, decide

ERRORS: list[tuple[RadioError, float]] = [
    (DeviceNotFoundError(60), 2),
    (LinkLostError("gone"), 15),
    (ConnectFailedError("F0:00:00:00:00:01", "no"), 30),
    (CallTimedOutError("read", 10), 60),
    (RadioUnavailableError("no adapter"), 10),
    (AccessRefusedError("read", 0x05), 300),
    (SlotsExhaustedError(5, 60), 10),
    (SlotYieldedError("nothing more to say"), 15),
    (RadioBusyError("connect: InProgress"), 20),
    (KeyRefusedError("unknown key"), 60),
    (PairingFailedError("refused"), 120),
    (RadioError("something"), 60),
]


@pytest.mark.parametrize(("error", "longest"), ERRORS, ids=lambda value: type(value).__name__)
def test_waits_grow_to_their_limit_and_never_end(error: RadioError, longest: float) -> None:
    waits = [decide(error, failures, 0.999) for failures in range(1, 200)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert len(seconds) == len(waits)
    assert seconds == sorted(seconds)
    assert longest * 0.99 <= seconds[-1] <= longest


def test_a_link_that_just_worked_is_tried_again_at_once() -> None:
    wait = decide(LinkLostError("gone"), 1, 0.999)
    assert isinstance(wait, Wait)
    assert wait.seconds <= 0.25


def test_jitter_spreads_the_attempts_over_half_the_step() -> None:
    low, high = decide(CallTimedOutError("read", 10), 3, 0.0), decide(CallTimedOutError("read", 10), 3, 0.999)
    assert isinstance(low, Wait)
    assert isinstance(high, Wait)
    assert low.seconds == pytest.approx(2)
    assert high.seconds == pytest.approx(4, rel=0.01)


def test_only_another_device_than_configured_is_given_up_and_not_at_once() -> None:
    error = CharacteristicMissingError("00002a5f-0000-1000-8000-00805f9b34fb")
    decisions = [decide(error, failures, 0.5) for failures in range(1, WRONG_DEVICE_ATTEMPTS + 1)]
    assert [type(decision) for decision in decisions[:-1]] == [Wait] * (WRONG_DEVICE_ATTEMPTS - 1)
    assert decisions[-1] == GiveUp(error.reason)
