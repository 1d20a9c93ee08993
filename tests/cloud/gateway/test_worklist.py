"""Patients in order of risk, and what their cards say."""

from tests.support.clock import NOON_MS
from tests.support.console import alert, patient, stored

from bedside_cloud.contracts.alerts import AlertSource
from bedside_cloud.gateway.wording import acknowledgement, duration, number, sentence
from bedside_cloud.gateway.worklist import worklist
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmKind


def test_open_alerts_come_first_then_urgency_then_name() -> None:
    names = {
        "calm": [],
        "also calm": [],
        "taken high": [alert(acknowledged_at_ms=NOON_MS, acknowledged_by="nurse")],
        "open medium": [alert(priority=Priority.MEDIUM)],
        "open high": [alert()],
        "over but open": [alert(active=False, cleared_at_ms=NOON_MS)],
        "over and taken": [alert(active=False, cleared_at_ms=NOON_MS, acknowledged_at_ms=NOON_MS)],
    }
    patients = [patient(patient_id=name, name=name) for name in names]
    alerts = [one.model_copy(update={"patient_id": name}) for name, several in names.items() for one in several]
    cards = worklist(patients, [], alerts, NOON_MS)
    assert [card.patient.name for card in cards] == [
        *("open high", "open medium", "over but open", "taken high"),
        *("also calm", "calm", "over and taken"),
    ]


def test_a_physiological_alert_leads_a_technical_one() -> None:
    technical = alert(alert_id="t", kind=AlarmKind.TECHNICAL, condition="sensor_off", metric=None, limit=None)
    (card,) = worklist([patient()], [], [technical, alert()], NOON_MS)
    assert [one.alert.condition for one in card.alerts] == ["spo2_low", "sensor_off"]
    assert card.alerts[1].sentence == "Sensor off, for 10 s, since " + card.alerts[1].sentence.split("since ")[1]


def test_values_stand_in_the_order_of_a_monitor_with_their_age() -> None:
    readings = [stored(61, Metric.PULSE_RATE), stored(97), stored(97, Metric.BATTERY_LEVEL)]
    (card,) = worklist([patient()], readings, [], NOON_MS + 90_000)
    assert [(cell.label, cell.text, cell.unit, cell.age, cell.stale) for cell in card.values] == [
        ("SpO₂", "97", "%", "1 min 30 s", True),
        ("Pulse", "61", "/min", "1 min 30 s", True),
    ]


def test_a_spot_value_does_not_go_stale_by_itself() -> None:
    (card,) = worklist([patient()], [stored(121, Metric.SYSTOLIC_PRESSURE)], [], NOON_MS + 3_600_000)
    assert not card.values[0].stale


def test_the_sentence_says_what_against_which_limit_since_when_and_on_whose_word() -> None:
    assert sentence(alert(), NOON_MS + 30_000) == (
        "Oxygen saturation 84 % is below the limit of 88 %, for 40 s, since 14:13:10 UTC; found by the hub."
    )
    both = alert(sources=(AlertSource.CLOUD, AlertSource.HUB), side=Side.ABOVE, metric=Metric.PULSE_RATE, value=150.0)
    assert "found by the stored readings and the hub" in sentence(both, NOON_MS)
    assert "Pulse rate 150 /min is above the limit of 88 /min" in sentence(both, NOON_MS)
    over = alert(active=False, cleared_at_ms=NOON_MS + 50_000, sources=())
    assert sentence(over, NOON_MS + 999_000).startswith("Oxygen saturation 84 % was below")
    assert "over after 1 min, since" in sentence(over, NOON_MS + 999_000)


def test_who_has_it() -> None:
    assert acknowledgement(alert()) == "Nobody has acknowledged it."
    taken = alert(acknowledged_at_ms=NOON_MS, acknowledged_by="nurse")
    assert acknowledgement(taken) == "Acknowledged by nurse at 14:13:20 UTC."


def test_no_number_is_never_a_zero() -> None:
    assert number(Metric.SPO2, None, None) == "—"
    assert number(Metric.GLUCOSE, None, RangeFlag.BELOW) == "LO"
    assert number(Metric.GLUCOSE, None, RangeFlag.ABOVE) == "HI"
    assert number(Metric.BODY_TEMPERATURE, 36.55, None) in ("36.5", "36.6")


def test_durations_have_at_most_two_units() -> None:
    assert [duration(1000 * seconds) for seconds in (-5, 0, 59, 60, 61, 3600, 3725, 90_000)] == [
        *("0 s", "0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 2 min", "1 d 1 h"),
    ]
