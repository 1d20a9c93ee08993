"""The electrocardiogram of an H10: asked for where it is wanted, and asked for again when the strap falls silent."""

from datetime import datetime

import pytest

from bedside_profiles.bluetooth import heart_rate, polar_pmd
from bedside_profiles.bluetooth.polar_h10 import PROFILE, SILENT_SECONDS, EcgConversation, converse, decode
from bedside_profiles.bluetooth.polar_pmd import CONTROL_POINT, DATA, START_ECG, PmdFrame
from bedside_profiles.conversation import Known, Moment, Read, Trouble, Write
from bedside_profiles.waveforms import Segment, Signal

AT = datetime(2026, 3, 1, 8, 0, 0)  # noqa: DTZ001 - a wall clock's time
START = Write(START_ECG, CONTROL_POINT)
FRAME = PmdFrame(polar_pmd.ECG, 599_616_000 * 10**9, 0, ((120, -35),)).to_bytes()


def moment(seconds: float) -> Moment:
    return Moment(seconds, AT)


def answer(error: int) -> bytes:
    return bytes((polar_pmd.ANSWER, 2, polar_pmd.ECG, error, 0))


def test_it_is_not_asked_for_unless_it_is_wanted() -> None:
    conversation = EcgConversation(is_wanted=False)
    assert conversation.begin(moment(0)) == ()
    assert conversation.hear(DATA, FRAME, moment(1)) == ()
    assert conversation.wakes_at_seconds is None
    assert START not in converse(Known()).begin(moment(0))


def test_it_is_asked_for_at_each_connection() -> None:
    assert START in converse(Known(wants_waveform=True)).begin(moment(0))


def test_the_command_is_the_one_of_the_makers_document() -> None:
    # Start, ECG; setting 0 (sample rate), one value: 130; setting 1 (resolution), one value: 14.
    assert bytes((2, 0, 0, 1, 130, 0, 1, 1, 14, 0)) == START_ECG


@pytest.mark.parametrize("error", [polar_pmd.STARTED, polar_pmd.ALREADY_STARTED])
def test_a_strap_that_has_started_is_no_trouble(error: int) -> None:
    conversation = EcgConversation(is_wanted=True)
    conversation.begin(moment(0))
    assert conversation.hear(CONTROL_POINT, answer(error), moment(1)) == ()


def test_a_strap_that_cannot_start_is_told_of() -> None:
    conversation = EcgConversation(is_wanted=True)
    conversation.begin(moment(0))
    (told,) = conversation.hear(CONTROL_POINT, answer(9), moment(1))
    assert isinstance(told, Trouble)
    assert "error 9" in told.reason


@pytest.mark.parametrize("payload", [b"", b"\xf0\x02\x00", answer(9)[:3], b"\xf0\x03\x00\x09\x00", b"\xf0\x02\x02\x09"])
def test_what_is_no_answer_to_it_says_nothing(payload: bytes) -> None:
    conversation = EcgConversation(is_wanted=True)
    conversation.begin(moment(0))
    assert conversation.hear(CONTROL_POINT, payload, moment(1)) == ()


def test_a_silent_strap_is_asked_again() -> None:
    conversation = EcgConversation(is_wanted=True)
    conversation.begin(moment(0))
    conversation.hear(DATA, FRAME, moment(5))
    assert conversation.wakes_at_seconds == 5 + SILENT_SECONDS
    assert conversation.wake(moment(5 + SILENT_SECONDS)) == (START,)
    assert conversation.wakes_at_seconds == 5 + 2 * SILENT_SECONDS


def test_another_strap_is_named_as_what_it_is() -> None:
    conversation = EcgConversation(is_wanted=True)
    conversation.begin(moment(0))
    (told,) = conversation.refused(START, moment(1))
    assert isinstance(told, Trouble)
    assert "H10" in told.reason
    assert conversation.wakes_at_seconds is None
    assert conversation.refused(Read("2a2b"), moment(1)) == ()


def test_a_frame_is_a_waveform_with_the_straps_time_and_no_reading() -> None:
    decoded = decode(DATA, FRAME)
    assert decoded.measurements == ()
    assert decoded.segments == (Segment(Signal.ECG, 130.0, (120, -35), "2019-01-01T00:00:00.000"),)


def test_the_last_time_that_a_frame_can_name_is_a_time() -> None:
    (segment,) = decode(DATA, PmdFrame(polar_pmd.ECG, 2**64 - 1, 0, ((1,),)).to_bytes()).segments
    assert segment.device_time == "2584-07-20T23:34:33.709"


def test_a_strap_without_the_service_is_a_strap_all_the_same() -> None:
    required = [one.uuid for one in PROFILE.characteristics if one.required]
    assert required == [heart_rate.MEASUREMENT]
