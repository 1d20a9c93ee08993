"""Patients in order of risk, and what stands on a patient's card. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_cloud.contracts.alerts import Alert
from bedside_cloud.contracts.readings import StoredReading
from bedside_cloud.contracts.registry import Patient
from bedside_cloud.gateway.vitals import VITAL_OF, VITALS, Vital
from bedside_cloud.gateway.wording import (
    SHAPES,
    TEST_SHAPE,
    acknowledgement,
    ago,
    evidence,
    headline,
    lasting,
    number,
    sentence,
)
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind

STALE_AFTER_MS = 60_000
"""A continuous value older than this is shown as old; a spot value is judged by the reader, from its age."""

NO_VALUE = "—"

URGENCY = {Priority.HIGH: 0, Priority.MEDIUM: 1, Priority.LOW: 2, Priority.INFO: 3}

LAST = 9
"""Sorts after everything that has an alert."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a value: blood pressure has three of one measurement."""

    metric: Metric
    text: str


@dataclass(frozen=True, slots=True)
class ValueCell:
    """What was last measured of one vital sign; `taken_at_ms` lets the page keep the age current.

    A cell without figures stands where other patients of the list have a value: columns stay aligned. `alarm` is the
    priority of an alert that is active on it.
    """

    vital: Vital
    figures: tuple[Figure, ...] = ()
    taken_at_ms: int = 0
    age: str = ""
    stale: bool = False
    alarm: Priority | None = None

    @property
    def shape(self) -> str:
        """The alarm's shape, beside its colour."""
        return "" if self.alarm is None else SHAPES[self.alarm]


@dataclass(frozen=True, slots=True)
class AlertCard:
    """One alert as it is read. `sentence` says all that the parts say."""

    alert: Alert
    shape: str
    headline: str
    lasting: str
    evidence: str
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
    rank: tuple[int, int, int, str]

    @property
    def worst(self) -> AlertCard | None:
        """The alert that the card leads with."""
        return self.alerts[0] if self.alerts else None

    @property
    def waiting(self) -> int:
        """How many alerts nobody has taken; a test is none."""
        return sum(one.open for one in self.alerts if not one.alert.test)

    @property
    def active(self) -> int:
        """How many alerts are of something that goes on."""
        return sum(one.alert.active for one in self.alerts if not one.alert.test)

    @property
    def tests(self) -> int:
        """How many tests of the alarm wait for somebody to confirm that they came."""
        return sum(one.open for one in self.alerts if one.alert.test)

    @property
    def measured(self) -> bool:
        """Whether there is any value at all."""
        return any(cell.figures for cell in self.values)


def urgency(alert: Alert) -> tuple[int, int, int]:
    """Sorts alerts: open before acknowledged, active before over, high before low, technical after physiological.

    A test comes after all that is real.
    """
    state = (0 if alert.acknowledged_at_ms is None else 2) + (0 if alert.active else 1) + (4 if alert.test else 0)
    return (state, URGENCY[alert.priority], 1 if alert.kind is AlarmKind.TECHNICAL else 0)


def alert_card(alert: Alert, now_ms: int) -> AlertCard:
    """An alert in words."""
    return AlertCard(
        alert,
        TEST_SHAPE if alert.test else SHAPES[alert.priority],
        headline(alert),
        lasting(alert, now_ms),
        evidence(alert),
        sentence(alert, now_ms),
        acknowledgement(alert),
    )


def worklist(
    patients: Sequence[Patient], readings: Sequence[StoredReading], alerts: Sequence[Alert], now_ms: int
) -> list[PatientCard]:
    """A card for every patient, the one at greatest risk first; of equals the one whose alert began first."""
    columns = [vital for vital in VITALS if any(reading.metric in vital.metrics for reading in readings)]
    cards = [
        _card(
            patient,
            columns,
            [one for one in readings if one.patient_id == patient.patient_id],
            [one for one in alerts if one.patient_id == patient.patient_id and shown(one)],
            now_ms,
        )
        for patient in patients
    ]
    return sorted(cards, key=lambda card: card.rank)


def shown(alert: Alert) -> bool:
    """Whether an alert still belongs on the worklist: active, or a person has not yet taken it.

    A test ends by itself.
    """
    return alert.active or (alert.acknowledged_at_ms is None and not alert.test)


def _card(
    patient: Patient,
    columns: Sequence[Vital],
    readings: Sequence[StoredReading],
    alerts: Sequence[Alert],
    now_ms: int,
) -> PatientCard:
    ordered = sorted(alerts, key=lambda one: (urgency(one), -one.raised_at_ms))
    values = tuple(value_cell(vital, readings, ordered, now_ms) for vital in columns)
    name = patient.name.casefold()
    rank = (*urgency(ordered[0])[:2], ordered[0].onset_ms, name) if ordered else (LAST, LAST, 0, name)
    return PatientCard(patient, values, tuple(alert_card(one, now_ms) for one in ordered), rank)


def value_cell(vital: Vital, readings: Sequence[StoredReading], alerts: Sequence[Alert], now_ms: int) -> ValueCell:
    """The newest readings of a vital sign. Figures that were not measured together are not shown together."""
    of_metric = {reading.metric: reading for reading in readings if reading.metric in vital.metrics}
    if not of_metric:
        return ValueCell(vital)
    taken_at_ms = max(reading.taken_at_ms for reading in of_metric.values())
    figures = [
        Figure(metric, figure_text(reading) if reading and reading.taken_at_ms == taken_at_ms else NO_VALUE)
        for metric, reading in ((metric, of_metric.get(metric)) for metric in vital.metrics)
    ]
    # A device that never says the last of them gets no dash for it; one in the middle keeps its place.
    while figures[-1].metric not in of_metric:
        figures.pop()
    stale = vital.continuous and now_ms - taken_at_ms > STALE_AFTER_MS
    active = [
        alert.priority
        for alert in alerts
        if alert.active and alert.kind is AlarmKind.PHYSIOLOGICAL and alert.metric in vital.metrics
    ]
    alarm = min(active, key=URGENCY.__getitem__, default=None)
    return ValueCell(vital, tuple(figures), taken_at_ms, ago(now_ms - taken_at_ms), stale, alarm)


def figure_text(reading: StoredReading) -> str:
    """A reading's number as it is shown."""
    return number(reading.metric, reading.value, reading.range_flag)


def is_vital(reading: StoredReading) -> bool:
    """Whether a card has a place for it."""
    return reading.metric in VITAL_OF
