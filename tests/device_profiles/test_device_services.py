"""What devices tell of themselves: clock, name plate, features, session, user, and A&D's own commands."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import and_control, clock, device_information, user_control
from bedside_profiles.bluetooth.clock import AdjustReason
from bedside_profiles.catalogue import SERVICES
from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import encode_date_time
from bedside_profiles.profile import Decoded, Service

moments = st.datetimes(datetime(2010, 1, 1), datetime(2099, 12, 31))  # noqa: DTZ001


def facts(decoded: Decoded) -> dict[str, object]:
    return {fact.name: fact.value for fact in decoded.facts}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@given(payload=st.binary(max_size=24), which=st.integers(0, 30))
def test_any_bytes_tell_of_the_device_or_are_refused(service: Service, payload: bytes, which: int) -> None:
    characteristic = service.characteristics[which % len(service.characteristics)]
    try:
        decoded = service.decode(characteristic, payload)
    except DecodeError:
        return
    assert decoded.facts
    assert not decoded.measurements


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_foreign_characteristic_is_refused(service: Service) -> None:
    with pytest.raises(DecodeError, match="no characteristic"):
        service.decode("00002a37-0000-1000-8000-00805f9b34fb", b"\x00\x48")


def test_every_characteristic_belongs_to_one_service() -> None:
    named = [characteristic for service in SERVICES for characteristic in service.characteristics]
    assert len(named) == len(set(named))


@given(moments)
def test_a_clock_is_read_as_it_was_set(moment: datetime) -> None:
    found = facts(clock.decode(clock.CURRENT_TIME, clock.encode_current_time(moment, AdjustReason.REFERENCE)))
    assert found["device_time"] == moment.replace(microsecond=0).isoformat()
    assert found["day_of_week"] == moment.isoweekday()
    assert found["second_fraction_256"] == moment.microsecond * 256 // 1_000_000
    assert found["adjust_reason"] == AdjustReason.REFERENCE
    whole = moment.replace(microsecond=0)
    assert facts(clock.decode(clock.DATE_TIME, encode_date_time(whole)))["device_time"] == whole.isoformat()


@given(moments)
def test_a_cuff_is_set_to_the_second(moment: datetime) -> None:
    payload = and_control.encode_set_time(moment)
    assert len(payload) == 20
    found = facts(and_control.decode(and_control.CONTROL, payload))
    assert found["device_time"] == moment.replace(microsecond=0).isoformat()


@pytest.mark.parametrize("year", [1999, 2100])
def test_a_cuff_has_no_other_century(year: int) -> None:
    with pytest.raises(ValueError, match="century"):
        and_control.encode_set_time(datetime(year, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("payload", "head"),
    [
        (and_control.encode_disconnect(), "020103"),
        (and_control.encode_keep_readings(), "0301a601"),
        (and_control.encode_read_buffer_size(), "0200d6"),
        (and_control.encode_send_all(), "0200e1"),
    ],
)
def test_a_cuffs_commands_stand_as_its_maker_says(payload: bytes, head: str) -> None:
    assert payload == bytes.fromhex(head).ljust(20, b"\0")
    assert facts(and_control.decode(and_control.CONTROL, payload))


def test_a_cuff_is_never_told_to_forget() -> None:
    written = {
        facts(and_control.decode(and_control.CONTROL, payload))["command"]
        for payload in (
            and_control.encode_set_time(datetime(2024, 1, 1)),  # noqa: DTZ001
            and_control.encode_disconnect(),
            and_control.encode_keep_readings(),
            and_control.encode_read_buffer_size(),
            and_control.encode_send_all(),
        )
    }
    encoders = [name for name in vars(and_control) if name.startswith("encode_") and name != "encode_date_time"]
    assert len(encoders) == len(written)
    assert not written & {"unpair", "delete_memory"}


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20), st.integers(0, 8))
def test_a_text_is_read_without_what_fills_it_up(text: str, filling: int) -> None:
    assert device_information.decode_text(device_information.encode_text(text) + bytes(filling)) == text


def test_a_text_cannot_write_into_a_terminal() -> None:
    assert device_information.decode_text(b"UA\x1b[2J-651\r\n") == "UA[2J-651"


@given(st.integers(0, 254), st.integers(0, 9999))
def test_a_consent_keeps_its_code_to_itself(user: int, code: int) -> None:
    payload = user_control.encode_consent(user, code)
    assert payload[2:] == code.to_bytes(2, "little")
    assert facts(user_control.decode(user_control.CONTROL_POINT, payload)) == {"command": "consent", "user_index": user}


@pytest.mark.parametrize(("user", "code"), [(255, 1), (1, 10000), (-1, 1)])
def test_no_consent_beyond_the_service_is_given(user: int, code: int) -> None:
    with pytest.raises(ValueError, match="consent code"):
        user_control.encode_consent(user, code)
