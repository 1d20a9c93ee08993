"""Glucose meters: a ketone is no glucose, control solution is no patient, HI and LO have no number."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import glucose, record_access
from bedside_profiles.bluetooth.glucose import MEASUREMENT, GlucoseListener, GlucoseRecord
from bedside_profiles.bluetooth.glucose_context import MEASUREMENT_CONTEXT, GlucoseContext
from bedside_profiles.bluetooth.record_access import CONTROL_POINT, Filter, Operation, Operator, RecordRequest
from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import Number, Special, decode_sfloat
from bedside_profiles.profile import Decoded, EncodeError, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality, Quality, RangeFlag

NOON = datetime(2024, 3, 1, 12)  # noqa: DTZ001
KETONE_MEAL = 6

numbers = st.integers(0, 0xFFFF).map(decode_sfloat)
moments = st.datetimes(datetime(2010, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001
doses = st.none() | st.tuples(st.integers(0, 255), numbers)
nibbles = st.integers(0, 15)


@st.composite
def glucose_records(draw: st.DrawFn) -> GlucoseRecord:
    concentration = draw(st.none() | numbers)
    return GlucoseRecord(
        draw(st.integers(0, 0xFFFF)),
        draw(st.none() | moments),
        draw(st.none() | st.integers(-0x8000, 0x7FFF)),
        concentration,
        draw(st.booleans()),
        None if concentration is None else draw(nibbles),
        None if concentration is None else draw(nibbles),
        draw(st.none() | st.integers(0, 0xFFFF)),
        draw(st.booleans()),
    )


@given(glucose_records())
def test_every_record_survives(record: GlucoseRecord) -> None:
    assert GlucoseRecord.from_bytes(record.to_bytes()) == record


@st.composite
def contexts(draw: st.DrawFn) -> GlucoseContext:
    tested = draw(st.booleans())
    return GlucoseContext(
        draw(st.integers(0, 0xFFFF)),
        draw(doses),
        draw(st.none() | st.integers(0, 255)),
        draw(nibbles) if tested else None,
        draw(nibbles) if tested else None,
        draw(st.none() | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255))),
        draw(doses),
        draw(st.booleans()),
        draw(st.none() | numbers),
        draw(st.none() | st.integers(0, 255)),
    )


@given(contexts())
def test_every_context_survives(context: GlucoseContext) -> None:
    assert GlucoseContext.from_bytes(context.to_bytes()) == context
    assert all(not isinstance(fact.value, Special) for fact in context.facts())


@given(
    st.none() | st.integers(1, 2000) | st.sampled_from(RangeFlag),
    st.none() | moments,
    st.sets(st.sampled_from([Quality.LOW_BATTERY, Quality.DEVICE_CLOCK_UNSET])),
)
def test_reads_what_it_writes(value: int | RangeFlag | None, moment: datetime | None, quality: set[Quality]) -> None:
    timed = moment is not None and Quality.DEVICE_CLOCK_UNSET not in quality
    measurements: tuple[Measurement, ...] = ()
    if value is not None:
        measurements = (
            Measurement(
                Metric.GLUCOSE,
                None if isinstance(value, RangeFlag) else float(value),
                Modality.SPOT,
                range_flag=value if isinstance(value, RangeFlag) else None,
                quality=tuple(one for one in (Quality.LOW_BATTERY, Quality.DEVICE_CLOCK_UNSET) if one in quality),
                device_time=moment.isoformat() if moment and timed else None,
            ),
        )
    payload = glucose.encode(MEASUREMENT, measurements)
    (outcome,) = GlucoseListener().feed(MEASUREMENT, payload)
    assert isinstance(outcome, Decoded)
    assert outcome.measurements == measurements


def taken(sequence: int = 1, mg_dl: float = 120, **fields: object) -> GlucoseRecord:
    fields = {"concentration": mg_dl / 100_000, "sample": 1, "location": 1} | fields
    return GlucoseRecord(sequence, NOON, **fields)  # type: ignore[arg-type]


def heard(*frames: tuple[str, bytes]) -> list[Decoded]:
    """What a listener makes of frames, its rest included."""
    listener = GlucoseListener()
    outcomes = [outcome for characteristic, payload in frames for outcome in listener.feed(characteristic, payload)]
    rest = listener.rest()
    found = [*outcomes, rest] if rest is not None else outcomes
    return [outcome for outcome in found if isinstance(outcome, Decoded)]


def values(outcome: Decoded) -> list[tuple[Metric, float | None]]:
    return [(one.metric, one.value) for one in outcome.measurements]


def facts(outcome: Decoded) -> dict[str, object]:
    return {fact.name: fact.value for fact in outcome.facts}


def said(record: GlucoseRecord) -> tuple[str, bytes]:
    return (MEASUREMENT, record.to_bytes())


def told(context: GlucoseContext) -> tuple[str, bytes]:
    return (MEASUREMENT_CONTEXT, context.to_bytes())


def test_mol_becomes_mg_by_the_unit_of_the_frame() -> None:
    (outcome,) = heard(said(taken(concentration=0.008, in_moles=True)))
    assert values(outcome) == [(Metric.GLUCOSE, 8.0 * glucose.MG_DL_PER_MMOL_L)]


@pytest.mark.parametrize("offset", [-1440, -5, 0, 180, 339])
def test_the_offset_is_a_part_of_the_time(offset: int) -> None:
    (outcome,) = heard(said(taken(offset_minutes=offset)))
    assert outcome.measurements[0].device_time == (NOON + timedelta(minutes=offset)).isoformat()


def test_a_time_beyond_the_calendar_is_refused() -> None:
    late = GlucoseRecord(1, datetime(9999, 12, 31, 23, 59), 5, 0.0012, sample=1, location=1)  # noqa: DTZ001
    (refused,) = GlucoseListener().feed(*said(late))
    assert isinstance(refused, DecodeError)


@pytest.mark.parametrize("number", [5.0, 32.0, 0.0])
def test_a_ketone_is_never_a_glucose(number: float) -> None:
    record = said(taken(4, number, context_follows=True))
    context = told(GlucoseContext(4, meal=KETONE_MEAL))
    for frames in ((record, context), (context, record)):
        outcome = next(one for one in heard(*frames) if one.measurements)
        assert values(outcome) == [(Metric.KETONE, number / 10)]
        assert outcome.measurements[0].device_time == NOON.isoformat()


def test_a_ketone_beyond_the_range_has_no_number() -> None:
    record = taken(4, context_follows=True, concentration=Special.POSITIVE_INFINITY)
    (outcome,) = heard(said(record), told(GlucoseContext(4, meal=KETONE_MEAL)))
    assert [(one.metric, one.range_flag) for one in outcome.measurements] == [(Metric.KETONE, RangeFlag.ABOVE)]


def test_a_measurement_has_what_its_context_says_and_no_others() -> None:
    (first, second) = heard(
        said(taken(1, 100, context_follows=True)),
        told(GlucoseContext(1, meal=1)),
        said(taken(2, 200, context_follows=True)),
        told(GlucoseContext(2, meal=2)),
    )
    assert (values(first), facts(first)["meal"]) == ([(Metric.GLUCOSE, 100.0)], 1)
    assert (values(second), facts(second)["meal"]) == ([(Metric.GLUCOSE, 200.0)], 2)


@pytest.mark.parametrize(
    "next_frame",
    [
        None,
        said(taken(2)),
        (CONTROL_POINT, record_access.encode_response(Operation.REPORT)),
        told(GlucoseContext(7, meal=1)),
    ],
)
def test_a_measurement_whose_context_does_not_come_is_told_without(next_frame: tuple[str, bytes] | None) -> None:
    frames = [said(taken(1, 100, context_follows=True))] + ([next_frame] if next_frame else [])
    outcomes = heard(*frames)
    (alone,) = [one for one in outcomes if values(one) == [(Metric.GLUCOSE, 100.0)]]
    assert facts(alone)["context_missing"] is True
    assert len(outcomes) == len(frames)


def test_nothing_waits_longer_than_until_the_end_of_the_report() -> None:
    listener = GlucoseListener()
    assert listener.feed(*said(taken(1, context_follows=True))) == ()
    measured, answer = listener.feed(CONTROL_POINT, record_access.encode_response(Operation.REPORT))
    assert isinstance(measured, Decoded)
    assert values(measured) == [(Metric.GLUCOSE, 120.0)]
    assert isinstance(answer, Decoded)
    assert facts(answer)["success"] is True
    assert listener.rest() is None


def test_a_broken_context_is_an_error_and_costs_no_measurement() -> None:
    listener = GlucoseListener()
    listener.feed(*said(taken(1, context_follows=True)))
    (error,) = listener.feed(MEASUREMENT_CONTEXT, b"\x02\x01")
    assert isinstance(error, DecodeError)
    rest = listener.rest()
    assert rest is not None
    assert values(rest) == [(Metric.GLUCOSE, 120.0)]


@given(st.lists(glucose_records().map(said) | contexts().map(told), max_size=12))
def test_no_measurement_is_lost_or_told_twice(frames: list[tuple[str, bytes]]) -> None:
    sent = [GlucoseRecord.from_bytes(payload).sequence for name, payload in frames if name == MEASUREMENT]
    about = [one for one in heard(*frames) if one.measurements or one.withheld]
    assert [facts(one)["sequence_number"] for one in about] == sent


@pytest.mark.parametrize(
    "record",
    [
        taken(sample=10),
        taken(location=4),
        *(taken(status=1 << bit) for bit in (1, 2, 3, 4, 7, 8, 9, 10)),
        taken(sample=10, status=1 << 5),
        taken(sample=10, concentration=Special.POSITIVE_INFINITY),
    ],
    ids=repr,
)
def test_control_solution_and_failed_tests_are_no_reading_of_a_patient(record: GlucoseRecord) -> None:
    (outcome,) = heard(said(record))
    assert outcome.measurements == ()
    assert [one.reason for one in outcome.withheld] == [NoReading.INVALID]


@pytest.mark.parametrize(
    ("status", "concentration", "flag"),
    [
        (1 << 5, 0.006, RangeFlag.ABOVE),
        (1 << 6, 0.0002, RangeFlag.BELOW),
        (1 << 5, None, RangeFlag.ABOVE),
        (None, Special.NEGATIVE_INFINITY, RangeFlag.BELOW),
    ],
)
def test_hi_and_lo_are_readings_without_a_number(
    status: int | None, concentration: Number | None, flag: RangeFlag
) -> None:
    (outcome,) = heard(said(taken(status=status, concentration=concentration)))
    assert [(one.value, one.range_flag) for one in outcome.measurements] == [(None, flag)]


requests = st.one_of(
    st.sampled_from([Operation.REPORT, Operation.COUNT, Operation.REPORT_AND_COUNT]).flatmap(
        lambda operation: st.one_of(
            st.sampled_from([Operator.ALL, Operator.FIRST, Operator.LAST]).map(
                lambda operator: RecordRequest(operation, operator)
            ),
            st.tuples(st.sampled_from([Operator.UP_TO, Operator.FROM]), st.integers(0, 0xFFFF)).map(
                lambda pair: RecordRequest(operation, pair[0], Filter.NUMBER, (pair[1],))
            ),
            st.tuples(moments, moments).map(lambda pair: RecordRequest(operation, Operator.BETWEEN, Filter.TIME, pair)),
        )
    ),
    st.just(RecordRequest(Operation.ABORT, Operator.NONE)),
)


@given(requests)
def test_every_request_survives_and_is_no_answer(request: RecordRequest) -> None:
    assert RecordRequest.from_bytes(request.to_bytes()) == request
    with pytest.raises(DecodeError):
        record_access.decode_answer(request.to_bytes())


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (RecordRequest(Operation.REPORT), "0101"),
        (RecordRequest(Operation.COUNT), "0401"),
        (RecordRequest(Operation.REPORT, Operator.LAST), "0106"),
        (RecordRequest(Operation.REPORT, Operator.FROM, Filter.NUMBER, (258,)), "0103010201"),
        (RecordRequest(Operation.REPORT, Operator.BETWEEN, Filter.NUMBER, (1, 2)), "01040101000200"),
        (RecordRequest(Operation.ABORT, Operator.NONE), "0300"),
    ],
)
def test_requests_stand_as_the_service_says(request_: RecordRequest, payload: str) -> None:
    assert request_.to_bytes().hex() == payload


def test_deleting_is_understood_and_never_written() -> None:
    request = RecordRequest.from_bytes(bytes.fromhex("0201"))
    assert request.operation is Operation.DELETE
    with pytest.raises(EncodeError):
        request.to_bytes()


@pytest.mark.parametrize(
    "payload", ["", "01", "0100", "0301", "010302aa", "01030301aa", "0104010100", "0907", "010100"]
)
def test_no_request_is_read_into_broken_bytes(payload: str) -> None:
    with pytest.raises(DecodeError):
        RecordRequest.from_bytes(bytes.fromhex(payload))


@given(st.integers(0, 0xFFFF))
def test_a_count_is_read_as_it_is_written(count: int) -> None:
    (fact,) = record_access.decode_answer(record_access.encode_count(count)).facts
    assert (fact.name, fact.value) == ("record_count", count)


@given(moments)
def test_the_clock_of_a_meter_is_set_to_the_second(moment: datetime) -> None:
    decoded = glucose.decode_command(glucose.encode_set_clock(moment))
    assert {fact.name: fact.value for fact in decoded.facts}["device_time"] == moment.isoformat()


@given(st.binary(max_size=20))
def test_any_bytes_are_a_command_or_refused(payload: bytes) -> None:
    try:
        decoded = glucose.decode_command(payload)
    except DecodeError:
        return
    assert decoded.facts
