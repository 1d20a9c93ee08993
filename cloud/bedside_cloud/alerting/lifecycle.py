"""The life of one alert, as pure steps: raise, clear, acknowledge.

An alert has one state per source. It clears when every source that raised it has cleared or is stale. An
acknowledgement belongs to a person and covers the alert as urgent as that person saw it: one that becomes more urgent
waits for a person again, and its history keeps the name. Clearing is the rule's and never closes an alert that nobody
has acknowledged.
"""

import uuid
from dataclasses import dataclass, field, replace

from bedside_cloud.contracts.alerts import AlertSource
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.priority import ORDER, Priority
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmKind

STALE_AFTER_MS = 15 * 60 * 1000
"""A source that said nothing for so long no longer holds an alert active once another source has cleared it.

Not shorter: a hub that is offline cannot say that the condition goes on.
"""


@dataclass(frozen=True, slots=True)
class Word:
    """What a source last said of the condition, and when (UTC ms). `episode` is the hub's name for the occurrence."""

    present: bool
    said_at_ms: int
    episode: str | None = None


@dataclass(frozen=True, slots=True)
class Raise:
    """A source found the condition present. Times are UTC milliseconds.

    `device_id` is what a technical condition is about; empty when it is about the patient or the hub.
    """

    source: AlertSource
    patient_id: str
    hub_id: str
    condition: str
    kind: AlarmKind
    priority: Priority
    at_ms: int
    onset_ms: int
    heard_at_ms: int
    metric: Metric | None = None
    side: Side | None = None
    value: float | None = None
    range_flag: RangeFlag | None = None
    limit: float | None = None
    rule_id: str | None = None
    plan_version: int | None = None
    episode: str | None = None
    test: bool = False
    device_id: str = ""


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert as it is stored. `cleared_at_ms` is None while it is active."""

    alert_id: str
    first: Raise
    version: int
    priority: Priority
    value: float | None
    range_flag: RangeFlag | None
    sources: dict[AlertSource, Word] = field(default_factory=dict)
    cleared_at_ms: int | None = None
    acknowledged_at_ms: int | None = None
    acknowledged_by: str | None = None
    acknowledged_name: str | None = None
    patient_says_well_at_ms: int | None = None

    @property
    def active(self) -> bool:
        """Whether some source still holds the condition to be present."""
        return self.cleared_at_ms is None


def raised(present: AlertRecord | None, raise_: Raise) -> AlertRecord:
    """The alert after a source raised the condition: a new one, or the one it belongs to with one more source.

    It belongs to the active alert, and to one that is over when it speaks of a moment within it: hub and cloud see
    the same occurrence at different times when data come late, and it must not become two alerts. A later raise
    brings its value with it and may make the priority higher, never lower. One that was overtaken by a later one of
    the same source is history: it changes neither value nor word.
    """
    word = Word(present=True, said_at_ms=raise_.at_ms, episode=raise_.episode)
    if present is None or not (present.active or covers(present, raise_.at_ms)):
        return AlertRecord(
            alert_id=str(uuid.uuid4()),
            first=raise_,
            version=1,
            priority=raise_.priority,
            value=raise_.value,
            range_flag=raise_.range_flag,
            sources={raise_.source: word},
        )
    if ORDER.index(raise_.priority) > ORDER.index(present.priority):
        present = replace(present, acknowledged_at_ms=None, acknowledged_by=None, acknowledged_name=None)
    said = present.sources.get(raise_.source)
    overtaken = said is not None and said.present and said.said_at_ms > raise_.at_ms
    return replace(
        present,
        version=present.version + 1,
        priority=max(present.priority, raise_.priority, key=ORDER.index),
        value=present.value if overtaken else raise_.value,
        range_flag=present.range_flag if overtaken else raise_.range_flag,
        sources=present.sources if overtaken else {**present.sources, raise_.source: word},
        cleared_at_ms=None,
    )


def heard_again(present: AlertRecord, source: AlertSource, at_ms: int) -> AlertRecord:
    """The alert when a source that holds the condition to be present was seen to do so at `at_ms`: it is not stale."""
    word = present.sources.get(source)
    if word is None or not word.present or word.said_at_ms >= at_ms:
        return present
    return replace(present, sources={**present.sources, source: replace(word, said_at_ms=at_ms)})


def covers(alert: AlertRecord, at_ms: int) -> bool:
    """Whether an alert that is over was present at a moment."""
    return alert.cleared_at_ms is not None and alert.first.onset_ms <= at_ms <= alert.cleared_at_ms


def cleared(present: AlertRecord, source: AlertSource, at_ms: int, episode: str | None = None) -> AlertRecord:
    """The alert after a source found the condition gone; it stays active while another holds it to be present.

    The same record when the source never raised it, or has meanwhile found another occurrence than `episode`.
    """
    word = present.sources.get(source)
    if word is None or (word.present and word.episode != episode):
        return present
    sources = {**present.sources, source: Word(present=False, said_at_ms=at_ms, episode=episode)}
    held = [word for word in sources.values() if word.present and at_ms - word.said_at_ms < STALE_AFTER_MS]
    return replace(
        present,
        version=present.version + 1,
        sources=sources,
        cleared_at_ms=None if held else max(word.said_at_ms for word in sources.values()),
    )


def acknowledged(present: AlertRecord, person_id: str, person_name: str, at_ms: int) -> AlertRecord:
    """The alert with a person's name on it. The first acknowledgement stands; a second changes nothing."""
    if present.acknowledged_at_ms is not None:
        return present
    return replace(
        present,
        version=present.version + 1,
        acknowledged_at_ms=at_ms,
        acknowledged_by=person_id,
        acknowledged_name=person_name,
    )
