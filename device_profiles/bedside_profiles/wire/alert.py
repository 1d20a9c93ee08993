"""What became of an alarm, told to the hub: stored, somebody notified, acknowledged by whom, nobody reached."""

from dataclasses import dataclass
from enum import StrEnum

from bedside_profiles.bounds import Name
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.kinds import HubId, Schema, UtcMs, Uuid


class AlertStage(StrEnum):
    """Each stage is a fact in the cloud's database, not an intention."""

    STORED = "stored"
    NOTIFIED = "notified"
    ACKNOWLEDGED = "acknowledged"
    NOBODY_REACHED = "nobody_reached"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class AlertNotice:
    """`version` grows with each change of the alert; the hub ignores one that is not newer than what it has.

    `priority` is the alert's as it was then: an acknowledgement covers no more.
    """

    schema: Schema
    hub_id: HubId
    alert_id: Uuid
    condition: Name
    stage: AlertStage
    version: int
    at_ms: UtcMs
    episode: Uuid | None = None
    by: str = ""
    priority: Priority | None = None
