"""Scales: the steps that a scale counts in, an analysis that did not happen, one measurement in two frames."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import body_composition, weight_scale
from bedside_profiles.bluetooth.body_composition import Amount, BodyRecord
from bedside_profiles.bluetooth.weight_scale import ScaleListener, WeightRecord
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, EncodeError, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality

WEIGHT, COMPOSITION = weight_scale.MEASUREMENT, body_composition.MEASUREMENT
RENPHO = bytes.fromhex("4e6a07ea0707040c1a06aa00000000")

moments = st.datetimes(datetime(2010, 1, 1), datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001
raw = st.integers(0, 0xFFFF)


def decoded(outcomes: tuple[Decoded | DecodeError, ...]) -> list[Decoded]:
    return [outcome for outcome in outcomes if isinstance(outcome, Decoded)]


def of(metrics: dict[Metric, tuple[int, int, float]]) -> st.SearchStrategy[tuple[Measurement, ...]]:
    """Some of `metrics` (least and most in steps, steps a unit), of one person at one time."""

    @st.composite
    def some(draw: st.DrawFn) -> tuple[Measurement, ...]:
        moment, user = draw(st.none() | moments), draw(st.none() | st.integers(0, 254))
        chosen = [metric for metric in metrics if draw(st.booleans())]
        return tuple(
            Measurement(
                metric,
                draw(st.integers(*metrics[metric][:2])) / metrics[metric][2],
                Modality.SPOT,
                device_time=moment.isoformat() if moment else None,
                device_user=user,
            )
            for metric in chosen
        )

    return some()


@given(
    of({Metric.BODY_WEIGHT: (1, 65534, 200), Metric.BODY_MASS_INDEX: (1, 2500, 10), Metric.BODY_HEIGHT: (1, 3000, 10)})
)
def test_a_weight_reads_what_it_writes(measurements: tuple[Measurement, ...]) -> None:
    (outcome,) = decoded(ScaleListener().feed(WEIGHT, weight_scale.encode(WEIGHT, measurements)))
    assert outcome.measurements == measurements


@given(
    of(
        {
            Metric.BASAL_METABOLISM: (1, 60000, 1),
            Metric.MUSCLE_SHARE: (1, 1000, 10),
            Metric.SOFT_LEAN_MASS: (1, 65534, 200),
            Metric.BODY_WATER: (1, 65534, 200),
            Metric.IMPEDANCE: (1, 65534, 10),
            Metric.BODY_WEIGHT: (1, 65534, 200),
            Metric.BODY_HEIGHT: (1, 3000, 10),
        }
    ),
    st.integers(1, 1000),
)
def test_a_composition_reads_what_it_writes(others: tuple[Measurement, ...], fat: int) -> None:
    first = others[0] if others else Measurement(Metric.BODY_FAT, 1.0, Modality.SPOT)
    body_fat = Measurement(
        Metric.BODY_FAT, fat / 10, Modality.SPOT, device_time=first.device_time, device_user=first.device_user
    )
    payload = weight_scale.encode(COMPOSITION, (body_fat, *others))
    (outcome,) = decoded(ScaleListener().feed(COMPOSITION, payload))
    assert outcome.measurements == (body_fat, *others)


@given(st.builds(WeightRecord, raw, st.booleans(), st.none() | moments, st.none() | st.integers(0, 255)), st.data())
def test_every_weight_record_survives(record: WeightRecord, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        record = WeightRecord(
            record.weight, record.imperial, record.timestamp, record.user, data.draw(raw), data.draw(raw)
        )
    assert WeightRecord.from_bytes(record.to_bytes()) == record


records = st.builds(
    BodyRecord,
    raw,
    st.dictionaries(st.sampled_from(list(Amount)), raw),
    st.booleans(),
    st.none() | moments,
    st.none() | st.integers(0, 255),
    st.booleans(),
)


@given(records)
def test_every_body_record_survives(record: BodyRecord) -> None:
    assert BodyRecord.from_bytes(record.to_bytes()) == record


def test_a_scale_that_marks_its_own_steps_is_not_read_by_the_standards() -> None:
    (outcome,) = decoded(ScaleListener().feed(WEIGHT, RENPHO))
    assert [(one.metric, one.value) for one in outcome.measurements] == [(Metric.BODY_WEIGHT, 94.9)]
    with pytest.raises(EncodeError):
        WeightRecord.from_bytes(RENPHO).to_bytes()


def test_pounds_have_their_own_coarse_steps() -> None:
    (outcome,) = decoded(ScaleListener().feed(WEIGHT, bytes.fromhex("41d007")))
    assert outcome.measurements[0].value == pytest.approx(200 * 0.45359237)


def test_no_mass_is_believed_of_a_composition_whose_steps_are_not_known() -> None:
    composition = BodyRecord(194, {Amount.WEIGHT: 1898}).to_bytes()
    listener = ScaleListener()
    listener.feed(WEIGHT, RENPHO)
    (refused,) = listener.feed(COMPOSITION, composition)
    assert isinstance(refused, DecodeError)
    assert decoded(ScaleListener().feed(COMPOSITION, composition))


@pytest.mark.parametrize("flag", [0x10, 0x80])
def test_a_reserved_flag_of_a_weight_is_refused(flag: int) -> None:
    (refused,) = ScaleListener().feed(WEIGHT, bytes((flag, 0x98, 0x3A)))
    assert isinstance(refused, DecodeError)


def test_what_was_calculated_without_an_impedance_is_no_reading() -> None:
    stub = BodyRecord(0, {Amount.BASAL_METABOLISM: 9110, Amount.MUSCLE_MASS: 8000, Amount.WEIGHT: 15000})
    (outcome,) = decoded(ScaleListener().feed(COMPOSITION, stub.to_bytes()))
    assert [(one.metric, one.value) for one in outcome.measurements] == [(Metric.BODY_WEIGHT, 75.0)]
    assert [(one.metric, one.reason) for one in outcome.withheld] == [
        (Metric.BODY_FAT, NoReading.ZERO),
        (Metric.BASAL_METABOLISM, NoReading.INVALID),
    ]
    assert outcome.facts == ()


FIRST = BodyRecord(194, {Amount.WEIGHT: 15000}, timestamp=datetime(2024, 3, 1, 8), user=2, several_packets=True)  # noqa: DTZ001
SECOND = BodyRecord(194, {Amount.BODY_WATER: 8650, Amount.IMPEDANCE: 4520}, several_packets=True)
WHOLE = {Metric.BODY_FAT, Metric.BODY_WATER, Metric.IMPEDANCE, Metric.BODY_WEIGHT}


def test_two_frames_are_one_measurement() -> None:
    listener = ScaleListener()
    assert listener.feed(COMPOSITION, FIRST.to_bytes()) == ()
    assert decoded(listener.feed(WEIGHT, WeightRecord(15000).to_bytes()))
    (outcome,) = decoded(listener.feed(COMPOSITION, SECOND.to_bytes()))
    assert {one.metric for one in outcome.measurements} == WHOLE
    assert {(one.device_time, one.device_user) for one in outcome.measurements} == {("2024-03-01T08:00:00", 2)}
    assert listener.rest() is None


def test_the_first_of_two_frames_is_not_lost_with_the_second() -> None:
    listener = ScaleListener()
    listener.feed(COMPOSITION, FIRST.to_bytes())
    rest = listener.rest()
    assert rest is not None
    assert {one.metric for one in rest.measurements} == {Metric.BODY_FAT, Metric.BODY_WEIGHT}
    assert listener.rest() is None


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (BodyRecord(195, {Amount.IMPEDANCE: 4520}, several_packets=True), 1),
        (BodyRecord(194, {Amount.WEIGHT: 15000}, several_packets=True), 1),
        (BodyRecord(194, {Amount.IMPEDANCE: 4520}, imperial=True, several_packets=True), 1),
        (BodyRecord(194, {Amount.IMPEDANCE: 4520}), 2),
        (FIRST, 1),
    ],
)
def test_what_is_not_the_rest_of_a_measurement_is_not_joined_with_it(second: BodyRecord, told: int) -> None:
    listener = ScaleListener()
    listener.feed(COMPOSITION, FIRST.to_bytes())
    outcomes = decoded(listener.feed(COMPOSITION, second.to_bytes()))
    assert len(outcomes) == told
    assert {one.metric for one in outcomes[0].measurements} == {Metric.BODY_FAT, Metric.BODY_WEIGHT}
    assert (listener.rest() is None) == (told == 2)


def test_a_broken_second_frame_costs_the_first_nothing() -> None:
    listener = ScaleListener()
    listener.feed(COMPOSITION, FIRST.to_bytes())
    first, broken = listener.feed(COMPOSITION, SECOND.to_bytes()[:-1])
    assert isinstance(first, Decoded)
    assert isinstance(broken, DecodeError)


@given(st.lists(records | st.binary(max_size=20), max_size=8))
def test_no_frame_is_told_twice_or_forgotten(sent: list[BodyRecord | bytes]) -> None:
    listener = ScaleListener()
    outcomes: list[Decoded | DecodeError] = []
    for one in sent:
        outcomes += listener.feed(COMPOSITION, one.to_bytes() if isinstance(one, BodyRecord) else one)
    rest = listener.rest()
    told = len(outcomes) + (rest is not None)
    assert len(sent) / 2 <= told <= len(sent)
