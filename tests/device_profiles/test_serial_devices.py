"""What single serial devices do that no capture shows: answers to be given, commands, and what must not exist."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import contec_sp10
from bedside_profiles.bluetooth.contec_sp10 import Sp10Listener, SpirometryRecord
from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, EncodeError, Fact, NoReading, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality, Quality
from bedside_profiles.serial import (
    contec_cms50,
    nonin_9560,
    onetouch_ultra2,
    onetouch_ultraeasy,
    suntech_nibp,
    taidoc,
)
from bedside_profiles.serial.contec_cms50 import Command, LiveFrame, packed, unpacked
from bedside_profiles.serial.masimo_ascii import Row as MasimoRow
from bedside_profiles.serial.nellcor_ascii import Row as NellcorRow
from bedside_profiles.serial.nonin_9560 import SpotRecord
from bedside_profiles.serial.nonin_df8 import SecondRecord
from bedside_profiles.serial.personal_health_device import OXIMETER
from bedside_profiles.serial.personal_health_report import Observation, confirmation, fixed_report
from bedside_profiles.serial.suntech_nibp import ResultRecord

SERIAL = tuple(profile for profile in CATALOGUE if isinstance(profile, SerialProfile))

moments = st.datetimes(datetime(2010, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001


@given(st.integers(0, 0x7F), st.binary(max_size=7))
def test_seven_bits_and_their_highest_survive(kind: int, data: bytes) -> None:
    assert unpacked(packed(kind, data)) == data


@given(
    st.builds(
        LiveFrame,
        st.none() | st.integers(0, 126),
        st.none() | st.integers(0, 254),
        st.none() | st.integers(0, 65534).map(lambda raw: raw / 100),
        st.integers(0, 127),
        st.integers(0, 15),
        st.integers(0, 15),
        *[st.booleans()] * 5,
    )
)
def test_every_live_frame_of_a_contec_survives(frame: LiveFrame) -> None:
    assert LiveFrame.from_bytes(frame.to_bytes()) == frame


@given(
    st.builds(
        SecondRecord,
        st.none() | st.integers(0, 126),
        st.none() | st.integers(0, 510),
        st.integers(0, 31).map(lambda bits: bits << 2),
        st.none() | st.integers(0, 127),
    )
)
def test_every_second_of_a_nonin_survives(record: SecondRecord) -> None:
    assert SecondRecord.from_bytes(record.to_bytes()) == record


@given(
    st.builds(
        SpotRecord, st.none() | st.integers(0, 126), st.none() | st.integers(0, 510), moments, *[st.booleans()] * 4
    )
)
def test_every_spot_check_of_a_nonin_survives(record: SpotRecord) -> None:
    assert SpotRecord.from_bytes(record.to_bytes()) == record


@given(
    st.builds(
        MasimoRow,
        moments,
        st.none() | st.integers(0, 999),
        st.none() | st.integers(0, 999),
        st.none() | st.integers(0, 9999).map(lambda raw: raw / 100),
        st.integers(0, 0xFFF),
        st.integers(0, 0xFFFF),
        st.none() | st.just("0000145838"),
        st.none() | st.integers(0, 999).map(lambda raw: raw / 10),
        st.none() | st.integers(0, 999).map(lambda raw: raw / 10),
        st.just((("DESAT", "--"), ("PIDELTA", "+--"))),
    )
)
def test_every_line_of_a_masimo_survives(row: MasimoRow) -> None:
    assert MasimoRow.from_text(row.to_text()) == row


@given(
    st.builds(
        NellcorRow,
        moments,
        *[st.none() | st.integers(0, 999)] * 3,
        st.lists(st.sampled_from(["SD", "AS", "PS", "LB"]), max_size=3, unique=True).map(tuple),
        st.lists(st.sampled_from(["spo2", "pulse_rate", "amplitude"]), max_size=3, unique=True).map(
            lambda names: tuple(name for name in ("spo2", "pulse_rate", "amplitude") if name in names)
        ),
    )
)
def test_every_row_of_a_nellcor_survives(row: NellcorRow) -> None:
    assert NellcorRow.from_text(row.to_text()) == row


@given(st.builds(ResultRecord, *[st.integers(0, 0xFFFF)] * 3, *[st.integers(0, 0xFF)] * 4))
def test_every_result_of_a_suntech_survives(record: ResultRecord) -> None:
    assert ResultRecord.from_bytes(record.to_bytes()) == record


@given(
    st.builds(
        SpirometryRecord,
        *[st.integers(0, 0x3FFF)],
        moments,
        *[st.integers(0, 0x3FFF)] * 3,
        st.booleans(),
        st.integers(0, 0x3FFF),
        st.integers(1, 4),
    ),
    st.lists(st.integers(1, 20), max_size=9),
)
def test_a_spirometers_record_survives_any_split(record: SpirometryRecord, sizes: list[int]) -> None:
    listener, stream = Sp10Listener(), record.to_bytes() * 2
    outcomes: list[Decoded | DecodeError] = []
    while stream:
        size = sizes.pop() if sizes else 20
        outcomes += listener.feed(contec_sp10.NOTIFIED, stream[:size])
        stream = stream[size:]
    assert outcomes == [record.decoded()] * 2
    assert listener.rest() is None


def test_a_spirometers_peak_flow_is_told_a_minute() -> None:
    measurements = (
        Measurement(Metric.FVC, 4.02, Modality.SPOT, device_time="2024-06-15T08:30:12"),
        Measurement(Metric.FEV1, 3.17, Modality.SPOT, device_time="2024-06-15T08:30:12"),
        Measurement(Metric.PEAK_FLOW, 447.0, Modality.SPOT, device_time="2024-06-15T08:30:12"),
    )
    (decoded,) = Sp10Listener().feed(contec_sp10.NOTIFIED, contec_sp10.encode(contec_sp10.NOTIFIED, measurements))
    assert isinstance(decoded, Decoded)
    assert decoded.measurements == measurements


def test_a_spirometers_ratio_is_told_and_another_test_than_a_forced_one_is_no_measurement() -> None:
    forced = SpirometryRecord(1, datetime(2026, 6, 15, 8, 30), 402, 317, 745, fev1_fvc_permille=788)  # noqa: DTZ001
    assert Fact("fev1_fvc_percent", 78.8) in forced.decoded().facts
    slow = replace(forced, kind=2).decoded()
    assert (slow.measurements, slow.facts[-1]) == ((), Fact("kind", 2))


def test_a_turned_bit_makes_no_stored_reading_of_a_live_frame() -> None:
    live = LiveFrame(97, 72, strength=5).to_bytes()
    turned = bytes((0x09,)) + live[1:]
    outcomes = contec_cms50.Cms50Framer().feed(live * 30 + turned + live * 30)
    decoded = [one for one in outcomes if isinstance(one, Decoded)]
    assert [by_value(one) for one in decoded] == [{"spo2": 97.0, "pulse_rate": 72.0}]


def test_a_turned_bit_in_the_first_byte_makes_no_stored_reading_either() -> None:
    live = LiveFrame(97, 72, strength=5).to_bytes()
    assert [one for one in contec_cms50.Cms50Framer().feed(b"\x09" + (live * 30)[1:]) if isinstance(one, Decoded)] == []


STORED = bytes.fromhex("0f80e2c6e2c6e2c6")


def test_stored_frames_are_believed_two_in_a_row_and_behind_a_break_three() -> None:
    framer = contec_cms50.Cms50Framer()
    assert framer.feed(STORED) == ()
    assert len(framer.feed(STORED)) == 6
    assert len(framer.feed(STORED)) == 3
    (error,) = framer.feed(b"\xff" + STORED * 2)
    assert isinstance(error, DecodeError)
    assert len(framer.feed(STORED)) == 9


def test_where_anything_was_live_nothing_is_stored() -> None:
    framer = contec_cms50.Cms50Framer()
    assert framer.feed(LiveFrame(97, 72).to_bytes() + STORED * 5) == ()


def by_value(decoded: Decoded) -> dict[str, float | None]:
    return {one.metric.value: one.value for one in decoded.measurements}


def test_a_confirmed_report_is_answered_with_its_number_and_event() -> None:
    time = bytes.fromhex("2015032116452400")
    report = fixed_report(0x1234, [Observation(1, b"\x00\x62", time)])
    assert confirmation(report) == bytes.fromhex(
        "e7000012 0010 1234 0201 000a 0000 00000000 0d1d 0000".replace(" ", "")
    )
    unconfirmed = report.replace(bytes.fromhex("12340101"), bytes.fromhex("12340100"))
    assert confirmation(unconfirmed) is None


def test_a_configuration_is_answered_as_accepted() -> None:
    info = bytes.fromhex("4000 0000 0000")
    body = bytes.fromhex("0000ffffffff0d1c") + len(info).to_bytes(2, "big") + info
    message = bytes.fromhex("00070101") + len(body).to_bytes(2, "big") + body
    inner = len(message).to_bytes(2, "big") + message
    answer = confirmation(b"\xe7\x00" + len(inner).to_bytes(2, "big") + inner)
    assert answer is not None
    assert answer[-6:] == bytes.fromhex("0004 4000 0000")


def test_nothing_that_inflates_or_deletes_can_be_said() -> None:
    said = [
        suntech_nibp.ask_pressure(),
        suntech_nibp.ask_result(),
        *(contec_cms50.command_frame(command) for command in Command),
        onetouch_ultra2.ASK_RECORDS,
        onetouch_ultra2.ASK_CLOCK,
        onetouch_ultra2.ASK_SERIAL_NUMBER,
        onetouch_ultraeasy.ASK_CLOCK,
        onetouch_ultraeasy.ASK_RECORD,
        onetouch_ultraeasy.ASK_VERSION,
        nonin_9560.select_format(13),
        nonin_9560.set_time(datetime(2024, 6, 15)),  # noqa: DTZ001 - the device names no zone
    ]
    assert not any(frame[:2] in (b"\x3a\x20", b"\x3a\x0c") or b"DMZ" in frame for frame in said)
    assert not any(frame[:2] == b"\x05\x1a" for frame in said)
    assert 0x52 not in taidoc._COMMANDS
    decoded = suntech_nibp.decode_command(bytes.fromhex("3a20a6"))
    assert {fact.name: fact.value for fact in decoded.facts}["moves_air"] is True


@pytest.mark.parametrize(
    "profile", [one for one in CATALOGUE if isinstance(one, SerialProfile)], ids=lambda one: one.name
)
def test_an_encoder_says_no_reading_when_it_has_none_to_say(profile: SerialProfile) -> None:
    framer = profile.framer()
    outcomes = [*framer.feed(profile.encode(()) * 3), framer.rest()]
    decoded = [one for one in outcomes if isinstance(one, Decoded)]
    assert not any(one.measurements for one in decoded)
    weight = Measurement(Metric.BODY_FAT, 20.0, Modality.SPOT)
    with pytest.raises(EncodeError):
        profile.encode((weight,))


def test_values_that_contradict_each_other_are_no_blood_pressure() -> None:
    decoded = ResultRecord(systolic=80, diastolic=120, mean=90, pulse_bpm=70).decoded()
    assert decoded.measurements == ()
    assert {one.reason for one in decoded.withheld} == {NoReading.ARTIFACT}


def test_a_time_counts_for_the_very_next_value_of_a_taidoc() -> None:
    members = (Measurement(Metric.GLUCOSE, 105.0, Modality.SPOT, device_time="2019-08-04T13:37:00"),)
    time, value = taidoc.encode_glucose(members)[:8], taidoc.encode_glucose(members)[8:]
    outcomes = taidoc.TaiDocFramer().feed(time + value + value + time + b"\x00" + value)
    found = [one.measurements[0] for one in outcomes if isinstance(one, Decoded) and one.measurements]
    assert [one.device_time for one in found] == ["2019-08-04T13:37:00", None, None]
    assert [one.quality for one in found[1:]] == [(Quality.DEVICE_CLOCK_UNSET,)] * 2


def test_an_error_of_one_frame_costs_that_frame_alone() -> None:
    good = onetouch_ultraeasy.encode(
        (Measurement(Metric.GLUCOSE, 105.0, Modality.SPOT, device_time="2019-08-04T13:37:00"),)
    )
    outcomes = onetouch_ultraeasy.framer().feed(good + good[:6] + good + good)
    assert [isinstance(one, DecodeError) for one in outcomes] == [False, True, False, False]


def test_beside_a_saturation_of_zero_nothing_of_a_masimo_is_believed() -> None:
    row = MasimoRow(datetime(2024, 6, 15), 0, 80, 4.96, co_percent=1.0)  # noqa: DTZ001 - the device names no zone
    decoded = row.decoded()
    assert decoded.measurements == ()
    assert {one.reason for one in decoded.withheld} == {NoReading.ZERO}


def test_a_report_that_lost_bytes_does_not_reach_into_the_next() -> None:
    time = bytes.fromhex("2015032116452400")
    report = fixed_report(1, [Observation(1, b"\x00\x62", time), Observation(10, b"\x00\x48", time)])
    for lost in range(1, 20):
        for at in range(30, len(report) - lost):
            framer = OXIMETER.framer()
            outcomes = framer.feed(report[:at] + report[at + lost :] + report * 2)
            told = [by_value(one) for one in outcomes if isinstance(one, Decoded) and one.measurements]
            assert told == [{"spo2": 98.0, "pulse_rate": 72.0}] * len(told)
            assert told
