"""Patients in order of risk, and what their cards say."""

import pytest
from tests.support.clock import NOON_MS
from tests.support.console import alert, patient, stored

from bedside_cloud.gateway.vitals import VITALS
from bedside_cloud.gateway.worklist import ValueCell, worklist
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind

OTHER = "99999999-9999-4999-8999-999999999999"
SYSTOLIC, DIASTOLIC, MEAN = Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.MEAN_PRESSURE


def texts(cell: ValueCell) -> list[str]:
    return [figure.text for figure in cell.figures]


def test_open_alerts_come_first_then_urgency_then_age_then_name() -> None:
    names = {
        "calm": [],
        "also calm": [],
        "taken high": [alert(acknowledged_at_ms=NOON_MS, acknowledged_by="nurse")],
        "open medium": [alert(priority=Priority.MEDIUM)],
        "open high": [alert()],
        "open high for longer": [alert(onset_ms=NOON_MS - 60_000)],
        "over but open": [alert(active=False, cleared_at_ms=NOON_MS)],
        "over and taken": [alert(active=False, cleared_at_ms=NOON_MS, acknowledged_at_ms=NOON_MS)],
    }
    patients = [patient(patient_id=name, name=name) for name in names]
    alerts = [one.model_copy(update={"patient_id": name}) for name, several in names.items() for one in several]
    cards = worklist(patients, [], alerts, NOON_MS)
    assert [card.patient.name for card in cards] == [
        *("open high for longer", "open high", "open medium", "over but open", "taken high"),
        *("also calm", "calm", "over and taken"),
    ]
    assert [card.waiting for card in cards] == [1, 1, 1, 1, 0, 0, 0, 0]


def test_a_physiological_alert_leads_a_technical_one() -> None:
    technical = alert(alert_id="t", kind=AlarmKind.TECHNICAL, condition="sensor_off", metric=None, limit=None)
    (card,) = worklist([patient()], [], [technical, alert()], NOON_MS)
    assert [one.alert.condition for one in card.alerts] == ["spo2_low", "sensor_off"]


def test_a_hub_that_cannot_alert_its_patient_is_on_the_worklist() -> None:
    mute = alert(kind=AlarmKind.TECHNICAL, condition="cannot_alert_patient", priority=Priority.MEDIUM, metric=None)
    calm = patient(patient_id="calm", name="Calm")
    first, second = worklist([calm, patient()], [], [mute], NOON_MS)
    assert first.worst is not None
    assert first.worst.headline.startswith("The hub cannot alert the patient")
    assert (first.waiting, second.patient) == (1, calm)


def test_a_test_of_the_alarm_says_so_counts_for_nothing_and_leaves_by_itself() -> None:
    real = alert(patient_id=OTHER, priority=Priority.LOW, acknowledged_at_ms=NOON_MS, acknowledged_by="nurse")
    trial = alert(condition="alarm_test", kind=AlarmKind.TECHNICAL, metric=None, side=None, limit=None, test=True)
    patients = [patient(), patient(patient_id=OTHER, name="Zoe Patient")]
    first, second = worklist(patients, [], [trial, real], NOON_MS)
    assert first.patient.patient_id == OTHER, "what is real comes first"
    assert (second.waiting, second.active, second.tests) == (0, 0, 1)
    assert "tests the alarm" in second.alerts[0].headline
    over = trial.model_copy(update={"active": False, "cleared_at_ms": NOON_MS})
    assert worklist(patients, [], [over], NOON_MS)[0].alerts == ()


def test_a_technical_alert_does_not_mark_a_value() -> None:
    missing = alert(kind=AlarmKind.TECHNICAL, condition="no_data.spo2", metric=Metric.SPO2, priority=Priority.MEDIUM)
    (card,) = worklist([patient()], [stored(97)], [missing], NOON_MS)
    assert card.values[0].alarm is None
    (card,) = worklist([patient()], [stored(97)], [missing, alert(metric=Metric.SPO2)], NOON_MS)
    assert card.values[0].alarm is Priority.HIGH


def test_values_stand_in_the_order_of_a_monitor_with_their_age() -> None:
    readings = [stored(61, Metric.PULSE_RATE), stored(97), stored(97, Metric.BATTERY_LEVEL)]
    (card,) = worklist([patient()], readings, [], NOON_MS + 90_000)
    assert [(cell.vital.label, texts(cell), cell.vital.unit, cell.age, cell.stale) for cell in card.values] == [
        ("SpO₂", ["97"], "%", "1 min ago", True),
        ("Pulse", ["61"], "/min", "1 min ago", True),
    ]


def test_a_spot_value_does_not_go_stale_by_itself() -> None:
    (card,) = worklist([patient()], [stored(121, SYSTOLIC)], [], NOON_MS + 3_600_000)
    assert not card.values[0].stale


@pytest.mark.parametrize(
    ("readings", "shown"),
    [
        ([stored(120, SYSTOLIC), stored(80, DIASTOLIC), stored(93, MEAN)], ["120", "80", "93"]),
        ([stored(120, SYSTOLIC), stored(80, DIASTOLIC)], ["120", "80"]),
        ([stored(120, SYSTOLIC), stored(93, MEAN)], ["120", "—", "93"]),
        ([stored(120, SYSTOLIC, taken_at_ms=NOON_MS + 1), stored(80, DIASTOLIC)], ["120", "—"]),
    ],
    ids=["together", "without a mean", "without a diastolic", "not of one measurement"],
)
def test_a_blood_pressure_is_one_measurement(readings: list[object], shown: list[str]) -> None:
    (card,) = worklist([patient()], readings, [], NOON_MS)  # type: ignore[arg-type]
    assert texts(card.values[0]) == shown


def test_columns_are_the_same_for_every_patient() -> None:
    patients = [patient(patient_id="a", name="a"), patient(patient_id="b", name="b")]
    readings = [stored(97, patient_id="a"), stored(61, Metric.PULSE_RATE, patient_id="b")]
    first, second = worklist(patients, readings, [], NOON_MS)
    assert [texts(cell) for cell in first.values] == [["97"], []]
    assert [texts(cell) for cell in second.values] == [[], ["61"]]
    (nothing,) = worklist([patient()], [], [], NOON_MS)
    assert not nothing.measured


def test_a_value_under_an_active_alert_is_marked_with_its_urgency() -> None:
    readings = [stored(84), stored(61, Metric.PULSE_RATE)]
    (card,) = worklist([patient()], readings, [alert()], NOON_MS)
    assert [(cell.alarm, cell.shape) for cell in card.values] == [(Priority.HIGH, "▲"), (None, "")]
    (card,) = worklist([patient()], readings, [alert(active=False, cleared_at_ms=NOON_MS)], NOON_MS)
    assert card.values[0].alarm is None


def test_every_vital_sign_stands_in_one_place() -> None:
    metrics = [metric for vital in VITALS for metric in vital.metrics]
    assert len(metrics) == len(set(metrics))
    assert Metric.BATTERY_LEVEL not in metrics
