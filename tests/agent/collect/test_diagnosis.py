"""Why a device gives no reading: what is nearest to the reading is said."""

from dataclasses import replace

import pytest

from bedside_agent.collect.diagnosis import Findings, diagnose
from bedside_agent.radio import central
from bedside_agent.serial.port import PortError
from bedside_profiles.advert import mi_scale
from bedside_profiles.bluetooth import blood_pressure, pulse_oximeter
from bedside_profiles.errors import BedsideError
from bedside_profiles.wire.status import LinkState

NOTHING = Findings(pulse_oximeter.PROFILE, LinkState.SEARCHING, None, 60)
CONNECTED = replace(NOTHING, link=LinkState.CONNECTED)
TROUBLES: tuple[central.RadioError | PortError, ...] = (
    central.RadioUnavailableError("no adapter"),
    central.DeviceNotFoundError(60),
    central.ConnectFailedError("F0:BE:D5:1D:00:01", "timed out"),
    central.LinkLostError("the connection ended"),
    central.CallTimedOutError("subscribe", 10),
    central.AccessRefusedError("read", 5),
    central.CharacteristicMissingError("2a5f"),
    central.KeyRefusedError("key missing"),
    central.PairingFailedError("refused"),
    central.SlotsExhaustedError(5, 60),
    PortError("/dev/ttyUSB0", "does not open"),
)


def test_a_reading_is_no_problem() -> None:
    assert diagnose(replace(CONNECTED, readings=1, refused=40)) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(CONNECTED, sensor_off=True, without_reading=9), "not on the body"),
        (replace(CONNECTED, refused=12), "12 frames refused"),
        (replace(CONNECTED, without_reading=3, refused=1), "has no value yet"),
        (CONNECTED, "said nothing for 60 s"),
        (NOTHING, "not heard for 60 s"),
    ],
)
def test_each_state_has_its_words_and_a_next_step(found: Findings, words: str) -> None:
    diagnosis = diagnose(found)
    assert diagnosis is not None
    assert words in diagnosis.problem
    assert diagnosis.fix


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_each_trouble_says_its_reason_and_another_next_step(trouble: central.RadioError | PortError) -> None:
    diagnosis = diagnose(replace(NOTHING, trouble=trouble))
    assert diagnosis is not None
    assert trouble.reason in diagnosis.problem
    others = [diagnose(replace(NOTHING, trouble=other)) for other in TROUBLES if other is not trouble]
    assert diagnosis.fix not in [other.fix for other in others if other is not None]


def test_trouble_without_words_of_its_own_is_said_as_it_is() -> None:
    diagnosis = diagnose(replace(NOTHING, trouble=BedsideError("the moon is full")))
    assert diagnosis is not None
    assert "the moon is full" in diagnosis.problem


def test_the_next_step_knows_how_the_device_speaks() -> None:
    fixes = {
        diagnose(replace(CONNECTED, profile=profile)).fix  # type: ignore[union-attr]
        for profile in (pulse_oximeter.PROFILE, blood_pressure.PROFILE, mi_scale.PROFILES[0])
    }
    assert len(fixes) == 3
