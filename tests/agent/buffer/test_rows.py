"""What is written to the store comes back the same; damaged bytes are an error, never another reading."""

import contextlib
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOON_MS
from tests.support.readings import alarm, event, reading

from bedside_agent.buffer import rows
from bedside_agent.buffer.rows import pack_reading, pack_row, unpack_reading, unpack_row
from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import Attribution, ClockQuality, Metric, Modality, Quality, RangeFlag, Reading
from bedside_profiles.wire.alarm import Alarm, AlarmInput
from bedside_profiles.wire.events import Event, EventField

NAMES = {1: "oximeter-1", 2: "11111111-1111-4111-8111-111111111111"}
NUMBERS = {name: number for number, name in NAMES.items()}

values = st.floats(allow_nan=False, allow_infinity=False, width=64) | st.integers(-40000, 40000).map(lambda n: n / 100)
qualities = st.sets(st.sampled_from(rows.QUALITIES)).map(lambda found: tuple(sorted(found, key=rows.QUALITIES.index)))


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    seq = draw(st.integers(1, 2**40 - 1))
    flag = draw(st.sampled_from(rows.RANGE_FLAGS))
    return Reading(
        seq=seq,
        device_id=NAMES[1],
        metric=draw(st.sampled_from(Metric)),
        value=draw(values) if flag is None else None,
        modality=draw(st.sampled_from(Modality)),
        taken_at_ms=draw(st.integers(0, 253402300799999)),
        boot_id=NAMES[2],
        monotonic_ms=draw(st.integers(0, 2**53)),
        clock_quality=draw(st.sampled_from(ClockQuality)),
        range_flag=flag,
        quality=draw(qualities),
        device_time=draw(st.none() | st.just("2026-01-02T03:04:05")),
        device_user=draw(st.none() | st.integers(-1, 255)),
        attribution=draw(st.sampled_from(Attribution)),
        group=draw(st.none() | st.integers(max(1, seq - 9), seq)),
    )


@given(readings())
def test_a_reading_comes_back_as_it_was(one: Reading) -> None:
    assert unpack_reading(one.seq, pack_reading(one, NUMBERS.__getitem__), NAMES) == one


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(payload: bytes) -> None:
    with contextlib.suppress(MalformedError):
        unpack_reading(1, payload, NAMES)
    with contextlib.suppress(MalformedError):
        unpack_row(Alarm, 1, payload)


@given(st.integers(0, 40))
def test_a_truncated_reading_is_refused(length: int) -> None:
    whole = pack_reading(reading(97.125, seq=7, quality=(Quality.MOTION,), group=7), NUMBERS.__getitem__)
    if length < len(whole):
        with pytest.raises(MalformedError):
            unpack_reading(7, whole[:length], NAMES)


def test_a_usual_reading_takes_about_twenty_bytes() -> None:
    usual = reading(97.0, seq=123_456, group=123_455, monotonic_ms=86_400_000)
    assert len(pack_reading(usual, NUMBERS.__getitem__)) <= 20


def test_every_member_of_every_enumeration_has_its_place() -> None:
    assert set(rows.METRICS) == set(Metric)
    assert set(rows.QUALITIES) == set(Quality)
    assert set(rows.MODALITIES) == set(Modality)
    assert set(rows.CLOCK_QUALITIES) == set(ClockQuality)
    assert set(rows.ATTRIBUTIONS) == set(Attribution)
    assert set(rows.RANGE_FLAGS) == {None, *RangeFlag}


def test_a_value_that_is_no_number_survives_to_be_rejected_by_the_cloud() -> None:
    back = unpack_reading(1, pack_reading(reading(math.nan, seq=1), NUMBERS.__getitem__), NAMES)
    assert back.value is not None
    assert math.isnan(back.value)


def test_alarms_and_events_come_back_as_they_were() -> None:
    raised = alarm(seq=3, inputs=(AlarmInput(Metric.SPO2, 85.0, NOON_MS, seq=9),))
    assert unpack_row(Alarm, 3, pack_row(raised)) == raised
    noted = event(seq=4, fields=(EventField("reason", "umlaut ü"),))
    assert unpack_row(Event, 4, pack_row(noted)) == noted


def test_a_row_under_another_sequence_is_refused() -> None:
    with pytest.raises(MalformedError, match="another sequence"):
        unpack_row(Alarm, 4, pack_row(replace(alarm(), seq=3)))
