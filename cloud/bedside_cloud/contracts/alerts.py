"""What `alerting` tells screens, and what a clinician may ask of it. It names no patient."""

from enum import StrEnum

from bedside_cloud.contracts.message import Message
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmKind

CHANGED = "alerting.changed"
"""Fan-out of `Alert` after every commit that changed one."""

LIST = "alerting.list"
"""`AlertsRequest` → `AlertList`."""

ACKNOWLEDGE = "alerting.acknowledge"
"""`AcknowledgeRequest` → `Alert`; refused with 404 for an unknown alert."""


class AlertSource(StrEnum):
    """Who holds the condition to be present."""

    HUB = "hub"
    CLOUD = "cloud"


class Alert(Message):
    """One occurrence of one condition of one patient.

    At most one alert per (patient, condition) is active; a technical one is also of one device, `device_id`. `version`
    grows with every change. `limit` is what the value was held against; `sources` are those that still hold the
    condition to be present. `patient_says_well_at_ms` is when the patient last answered it with "I am all right".
    """

    alert_id: str
    patient_id: str
    condition: str
    kind: AlarmKind
    priority: Priority
    version: int
    active: bool
    raised_at_ms: int
    onset_ms: int
    heard_at_ms: int
    sources: tuple[AlertSource, ...]
    metric: Metric | None = None
    side: Side | None = None
    value: float | None = None
    range_flag: RangeFlag | None = None
    limit: float | None = None
    rule_id: str | None = None
    plan_version: int | None = None
    cleared_at_ms: int | None = None
    acknowledged_at_ms: int | None = None
    acknowledged_by: str | None = None
    patient_says_well_at_ms: int | None = None
    test: bool = False
    device_id: str | None = None


class AlertsRequest(Message):
    """Alerts of `patient_ids` that are active, or unacknowledged, or changed since `since_ms`."""

    patient_ids: tuple[str, ...]
    since_ms: int


class AlertList(Message):
    """Newest first."""

    alerts: tuple[Alert, ...]


class AcknowledgeRequest(Message):
    """`person_id` and `person_name` are of the clinician who takes the alert."""

    alert_id: str
    person_id: str
    person_name: str
