"""Patients in order of risk, and what stands on a patient's card. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_cloud.contracts.alerts import Alert
from bedside_cloud.contracts.readings import StoredReading
from bedside_cloud.contracts.registry import Patient
from bedside_cloud.gateway.wording import SHAPES, SHORT, acknowledgement, duration, number, sentence, unit
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind

STALE_AFTER_MS = {
    Metric.SPO2: 60_000,
    Metric.PULSE_RATE: 60_000,
    Metric.HEART_RATE: 60_000,
}
"""Continuous values older than this are shown as old; a spot value is judged by the reader, from its age."""

URGENCY = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2, Priority.INFO: 3}


@dataclass(frozen=True, slots=True)
class ValueCell:
    """One number on a card; `taken_at_ms` lets the page keep the age current."""

    metric: Metric
    label: str
    text: str
    unit: str
    taken_at_ms: int
    age: str
    stale: bool


@dataclass(frozen=True, slots=True)
class AlertCard:
    """One alert as it is read, from the most to the least urgent."""

    alert: Alert
    shape: str
    sentence: str
    acknowledgement: str

    @property
    def open(self) -> bool:
        """Whether it waits for a person."""
        return self.alert.acknowledged_at_ms is None


@dataclass(frozen=True, slots=True)
class PatientCard:
    """One patient of the worklist. `rank` sorts; a smaller one is worse."""

    patient: Patient
    values: tuple[ValueCell, ...]
    alerts: tuple[AlertCard, ...]
    rank: tuple[int, int, str]

    @property
    def worst(self) -> AlertCard | None:
        """The alert that the card leads with."""
        return self.alerts[0] if self.alerts else None


def urgency(alert: Alert) -> tuple[int, int, int]:
    """Sorts alerts: open before acknowledged, active before over, high before low, technical after physiological."""
    state = (0 if alert.acknowledged_at_ms is None else 2) + (0 if alert.active else 1)
    return (state, URGENCY[alert.priority], 1 if alert.kind is AlarmKind.TECHNICAL else 0)


def alert_card(alert: Alert, now_ms: int) -> AlertCard:
    """An alert in words."""
    return AlertCard(alert, SHAPES[alert.priority], sentence(alert, now_ms), acknowledgement(alert))


def worklist(
    patients: Sequence[Patient], readings: Sequence[StoredReading], alerts: Sequence[Alert], now_ms: int
) -> list[PatientCard]:
    """A card for every patient, the one at greatest risk first; equals in order of name."""
    cards = [
        _card(
            patient,
            [one for one in readings if one.patient_id == patient.patient_id],
            [one for one in alerts if one.patient_id == patient.patient_id and shown(one)],
            now_ms,
        )
        for patient in patients
    ]
    return sorted(cards, key=lambda card: card.rank)


def shown(alert: Alert) -> bool:
    """Whether an alert still belongs on the worklist: active, or a person has not yet taken it."""
    return alert.active or alert.acknowledged_at_ms is None


def _card(patient: Patient, readings: Sequence[StoredReading], alerts: Sequence[Alert], now_ms: int) -> PatientCard:
    ordered = sorted(alerts, key=lambda one: (urgency(one), -one.raised_at_ms))
    values = tuple(value_cell(reading, now_ms) for metric in SHORT for reading in readings if reading.metric is metric)
    state, worst = (urgency(ordered[0])[0], urgency(ordered[0])[1]) if ordered else (9, 9)
    return PatientCard(
        patient, values, tuple(alert_card(one, now_ms) for one in ordered), (state, worst, patient.name.casefold())
    )


def value_cell(reading: StoredReading, now_ms: int) -> ValueCell:
    """A stored reading as it is shown."""
    age_ms = now_ms - reading.taken_at_ms
    return ValueCell(
        metric=reading.metric,
        label=SHORT[reading.metric],
        text=number(reading.metric, reading.value, reading.range_flag),
        unit=unit(reading.metric),
        taken_at_ms=reading.taken_at_ms,
        age=duration(age_ms),
        stale=age_ms > STALE_AFTER_MS.get(reading.metric, age_ms),
    )
