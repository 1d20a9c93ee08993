"""What the alarms know and must not forget, as values. Times are the hub's monotonic milliseconds unless named utc."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.cadence import CadenceState
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.rates import EMPTY, RateState
from bedside_profiles.rules.thresholds import NORMAL, RuleState
from bedside_profiles.wire.alarm import AlarmInput, AlarmKind

Key = tuple[str, str]
"""A rule's id and a device's, or a condition and the device that it is about; an empty one is about the patient."""


@dataclass(frozen=True, slots=True)
class Track:
    """Where a threshold stands for one device, or for all single checks together: a repeat may come from another cuff.

    `onset` is the first reading out of range, `latest` the newest that was; both None at rest.
    """

    rule_id: str
    device_id: str
    spot: bool
    state: RuleState = NORMAL
    onset: AlarmInput | None = None
    latest: AlarmInput | None = None


@dataclass(frozen=True, slots=True)
class LateTrack:
    """A threshold over readings that came long after they were taken; settled when no more of them come.

    `track` runs on the times at which they were taken, `heard_ms` is when the newest of them came.
    """

    track: Track
    heard_ms: int


@dataclass(frozen=True, slots=True)
class Course:
    """Where a rate rule stands for one device. `onset` is the value that the change is measured from, once it fires."""

    rule_id: str
    device_id: str
    state: RateState = EMPTY
    onset: AlarmInput | None = None
    latest: AlarmInput | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """When a device last measured continuously: any metric (None), or this one.

    `quiet` grows with each doubling of its pause: what is written down is never less than half of it.
    """

    device_id: str
    metric: Metric | None
    at_ms: int
    at_utc_ms: int
    quiet: int = 0


@dataclass(frozen=True, slots=True)
class Contact:
    """A sensor that is off the body: since when, and when the device last said so."""

    device_id: str
    off_since_ms: int
    off_since_utc_ms: int
    said_ms: int


@dataclass(frozen=True, slots=True)
class Battery:
    """What a device last said of its battery: a percentage, or only that it is low."""

    device_id: str
    percent: int | None
    flagged: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that is present now. `level` above 0: beyond a second limit.

    `subject` is the device that a technical condition is about, empty when it is about the patient or the hub;
    `device_id` the device that found it.
    """

    condition: str
    kind: AlarmKind
    priority: Priority
    onset_ms: int | None = None
    subject: str = ""
    level: int = 0
    rule_id: str | None = None
    device_id: str | None = None
    metric: Metric | None = None
    limit: float | None = None
    onset: AlarmInput | None = None
    latest: AlarmInput | None = None
    test: bool = False

    @property
    def key(self) -> Key:
        """Findings of one key are one alarm."""
        return (self.condition, self.subject)

    @property
    def value(self) -> float | None:
        """The newest value out of range."""
        return self.latest.value if self.latest else None

    @property
    def range_flag(self) -> RangeFlag | None:
        """The newest value's side, when it has no number."""
        return self.latest.range_flag if self.latest else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An alarm that is active: its episode, what was last said of it, and under which plan it was raised."""

    episode: str
    said: Finding
    patient_id: str
    plan_id: str
    plan_version: int
    since_utc_ms: int


@dataclass(frozen=True, slots=True)
class Mind:
    """All of it."""

    tracks: Mapping[Key, Track] = field(default_factory=dict)
    late: Mapping[Key, LateTrack] = field(default_factory=dict)
    courses: Mapping[Key, Course] = field(default_factory=dict)
    cadences: Mapping[str, CadenceState] = field(default_factory=dict)
    heard: Mapping[tuple[str, Metric | None], Heard] = field(default_factory=dict)
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    batteries: Mapping[str, Battery] = field(default_factory=dict)
    clockless: frozenset[str] = frozenset()
    unsynced_since_ms: int | None = None
    standing: Mapping[Key, Standing] = field(default_factory=dict)
