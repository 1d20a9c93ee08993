"""What a hub says to devices, as tables: nothing harmful ever, and nothing that any answer could break."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import clock, record_access, user_control
from bedside_profiles.bluetooth.clock import CURRENT_TIME, DATE_TIME, AdjustReason, encode_current_time
from bedside_profiles.bluetooth.clock_setting import ClockConversation
from bedside_profiles.bluetooth.record_access import RecordRequest
from bedside_profiles.bluetooth.user_consent import ConsentConversation
from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.conversation import (
    ClockMeasured,
    Conversation,
    Finish,
    Known,
    Moment,
    Read,
    Step,
    Together,
    Trouble,
    Write,
)
from bedside_profiles.numbers import encode_date_time
from bedside_profiles.profile import BleProfile
from bedside_profiles.xxtea import encrypt

NOON = datetime(2026, 3, 2, 12, 0, 0)  # noqa: DTZ001 - devices know no zone
NOW = Moment(100.0, NOON)
PIECED, PIECE_BYTES = {"bluetooth.o2ring", "bluetooth.ihealth_kn550"}, 20
"""Whose commands are written in pieces; the last one is shorter."""
TALKING = [profile for profile in CATALOGUE if isinstance(profile, BleProfile) and profile.converse is not None]


def cuff_says(seconds_ahead: float) -> bytes:
    return encode_current_time(NOON + timedelta(seconds=seconds_ahead), AdjustReason(0))


def test_a_clock_that_is_slow_is_measured_set_and_read_once_more() -> None:
    talk = ClockConversation(sets=True)
    assert talk.begin(NOW) == (Read(CURRENT_TIME),)
    assert talk.hear(CURRENT_TIME, cuff_says(-78), NOW) == (
        Write(encode_current_time(NOON, AdjustReason.REFERENCE), CURRENT_TIME),
        Read(CURRENT_TIME),
    )
    assert talk.hear(CURRENT_TIME, cuff_says(0.5), NOW) == (ClockMeasured(-78.0, is_set=True),)


def test_a_device_that_says_set_and_stays_wrong_is_not_believed() -> None:
    talk = ClockConversation(sets=True)
    talk.begin(NOW)
    talk.hear(CURRENT_TIME, cuff_says(-78), NOW)
    assert talk.hear(CURRENT_TIME, cuff_says(-78), NOW) == (ClockMeasured(-78.0, is_set=False),)


def test_a_clock_that_a_dose_may_be_decided_by_is_only_measured() -> None:
    talk = ClockConversation(sets=False)
    talk.begin(NOW)
    assert talk.hear(CURRENT_TIME, cuff_says(3600), NOW) == (ClockMeasured(3600.0, is_set=False),)


def test_a_hub_without_the_time_leaves_clocks_alone_and_looks_again() -> None:
    talk = ClockConversation(sets=True)
    assert talk.begin(Moment(100.0, None)) == ()
    assert talk.wakes_at_seconds == 160.0
    assert talk.wake(Moment(160.0, NOON)) == (Read(CURRENT_TIME),)
    assert talk.wakes_at_seconds is None


def test_a_hub_that_loses_the_time_between_sets_nothing() -> None:
    talk = ClockConversation(sets=True)
    talk.begin(NOW)
    assert talk.hear(CURRENT_TIME, cuff_says(-78), Moment(101.0, None)) == (ClockMeasured(None, is_set=False),)


def test_the_older_clock_is_tried_and_may_be_one_that_is_written_alone() -> None:
    talk = ClockConversation(sets=True)
    (first,) = talk.begin(NOW)
    assert isinstance(first, Read)
    (second,) = talk.refused(first, NOW)
    assert second == Read(DATE_TIME)
    written, again = talk.refused(second, NOW)
    assert written == Write(encode_date_time(NOON), DATE_TIME)
    assert isinstance(again, Read)
    assert talk.refused(again, NOW) == (ClockMeasured(None, is_set=True),)


def test_a_device_without_a_clock_has_nothing_told_of_it() -> None:
    talk = ClockConversation(sets=True)
    (first,) = talk.begin(NOW)
    assert isinstance(first, Read)
    (second,) = talk.refused(first, NOW)
    assert isinstance(second, Read)
    written, again = talk.refused(second, NOW)
    assert isinstance(written, Write)
    assert isinstance(again, Read)
    assert talk.refused(written, NOW) == ()
    assert talk.refused(again, NOW) == ()


def test_a_clock_that_may_not_be_written_is_told_as_it_is() -> None:
    talk = ClockConversation(sets=True)
    talk.begin(NOW)
    written, again = talk.hear(CURRENT_TIME, cuff_says(40), NOW)
    assert isinstance(written, Write)
    assert isinstance(again, Read)
    assert talk.refused(written, NOW) == (ClockMeasured(40.0, is_set=False),)
    assert talk.hear(CURRENT_TIME, cuff_says(40), NOW) == ()


@pytest.mark.parametrize("payload", [b"", bytes(10), bytes(7), b"\xff" * 10])
def test_a_clock_that_says_no_date_is_told_as_such(payload: bytes) -> None:
    talk = ClockConversation(sets=False)
    talk.begin(NOW)
    assert talk.hear(CURRENT_TIME, payload, NOW) == (ClockMeasured(None, is_set=False),)


def test_consent_is_given_for_the_user_that_the_settings_name() -> None:
    talk = ConsentConversation(Known(None, 2, 1234))
    assert talk.begin(NOW) == (Write(user_control.encode_consent(2, 1234), user_control.CONTROL_POINT),)
    assert talk.hear(user_control.CONTROL_POINT, bytes.fromhex("200201"), NOW) == ()
    assert talk.wakes_at_seconds is None


def test_consent_that_is_refused_or_not_answered_is_trouble() -> None:
    talk = ConsentConversation(Known(None, 2, 1234))
    talk.begin(NOW)
    assert talk.hear(user_control.CONTROL_POINT, bytes.fromhex("200205"), NOW) == (
        Trouble("the scale refuses the consent of user 2: user_not_authorised"),
    )
    talk = ConsentConversation(Known(None, 2, 1234))
    talk.begin(NOW)
    assert talk.wakes_at_seconds == 110.0
    assert talk.wake(NOW) == (Trouble("the scale does not answer the consent of user 2"),)


def test_without_a_user_nothing_is_said() -> None:
    assert ConsentConversation(Known()).begin(NOW) == ()


def test_of_several_conversations_only_the_one_that_is_due_wakes() -> None:
    both = Together(ClockConversation(sets=True), ConsentConversation(Known(None, 1, 1)))
    (consent,) = both.begin(Moment(100.0, None))
    assert isinstance(consent, Write)
    assert both.wakes_at_seconds == 110.0
    (late,) = both.wake(Moment(110.0, None))
    assert isinstance(late, Trouble)
    assert both.wakes_at_seconds == 160.0


@pytest.mark.parametrize(
    ("key", "plain", "sealed"),
    [
        ("00" * 16, "00" * 8, "ab043705808c5d57"),
        ("0102040810204080fffefcf8f0e0c080", "00" * 8, "d1e78be2c746728a"),
        ("9e3779b99b9773e9b979379e6b695156", "ff" * 8, "67ed0ea8e8973fc5"),
        ("0102040810204080fffefcf8f0e0c080", "fffefcf8f0e0c080", "8c3707c01c7fccc4"),
    ],
)
def test_xxtea_is_the_published_cipher(key: str, plain: str, sealed: str) -> None:
    assert encrypt(bytes.fromhex(plain), bytes.fromhex(key)).hex() == sealed


def characteristics(profile: BleProfile) -> list[str]:
    extra = (clock.CURRENT_TIME, clock.DATE_TIME, record_access.CONTROL_POINT, user_control.CONTROL_POINT)
    return [*(one.uuid for one in profile.characteristics), *profile.commands, *extra]


def check(profile: BleProfile, steps: Sequence[Step]) -> bool:
    """Whether it goes on. What is written can be understood, and nothing of it harms."""
    begun = b""
    for step in steps:
        if isinstance(step, Finish):
            assert step.pause_seconds > 0
            return False
        if isinstance(step, Write) and step.characteristic == record_access.CONTROL_POINT:
            assert RecordRequest.from_bytes(step.payload).operation is not record_access.Operation.DELETE
        elif isinstance(step, Write) and step.characteristic in profile.commands:
            begun += step.payload
            if profile.name not in PIECED or len(step.payload) < PIECE_BYTES:
                assert profile.decode_command is not None
                profile.decode_command(begun)
                begun = b""
    return True


@given(
    profile=st.sampled_from(TALKING),
    known=st.builds(
        Known,
        st.none() | st.text(max_size=12) | st.just("7:00aa00aa"),
        st.none() | st.integers(0, 254),
        st.none() | st.integers(0, 9999),
    ),
    data=st.data(),
)
def test_no_answer_breaks_a_conversation_and_none_makes_it_say_what_harms(
    profile: BleProfile, known: Known, data: st.DataObject
) -> None:
    assert profile.converse is not None
    talk: Conversation = profile.converse(known)
    seconds = 0.0
    local = data.draw(st.none() | st.just(NOON))
    asked = list(talk.begin(Moment(seconds, local)))
    goes_on = check(profile, asked)
    while goes_on and seconds < 400 and data.draw(st.booleans()):
        now = Moment(seconds, local)
        what = data.draw(st.sampled_from(("hear", "refused", "wake")))
        exchanges = [step for step in asked if isinstance(step, Write | Read)]
        if what == "hear":
            answers = st.binary(max_size=40) | st.sampled_from(SAID_BY_DEVICES.get(profile.name, [b""]))
            asked = list(talk.hear(data.draw(st.sampled_from(characteristics(profile))), data.draw(answers), now))
        elif what == "refused" and exchanges:
            asked = list(talk.refused(exchanges[-1], now))
        elif talk.wakes_at_seconds is not None:
            seconds = max(seconds, talk.wakes_at_seconds)
            asked = list(talk.wake(Moment(seconds, local)))
            wakes = talk.wakes_at_seconds
            assert wakes is None or wakes > seconds or any(isinstance(step, Finish) for step in asked)
        goes_on = check(profile, asked)


def _encoded(profile: BleProfile) -> list[bytes]:
    try:
        return [profile.encode(profile.characteristics[0].uuid, [])]
    except ValueError:
        return [b""]


SAID_BY_DEVICES = {profile.name: _encoded(profile) for profile in TALKING}
"""A well formed frame of each, so that conversations get beyond their first answer."""
