"""What happened to the hub or its devices, and gaps: readings that were produced and will never come."""

from dataclasses import dataclass
from enum import StrEnum

from bedside_profiles.bounds import Name
from bedside_profiles.wire.kinds import BootId, DeviceId, MonotonicMs, Seq, UtcMs

PATIENT_SAYS_WELL = "patient_says_well"
"""The event's kind: the patient has answered the alarms that sound with "I am all right"."""


class GapReason(StrEnum):
    """Why readings are gone."""

    DISK_FULL = "disk_full"
    STORE_CORRUPT = "store_corrupt"
    REJECTED_BY_STORE = "rejected_by_store"

    LET_GO = "let_go"
    """The cloud had stored it, so the hub let it go; then the cloud lost its database."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The sequences `first_seq` to `last_seq` of this lane were dropped; `count` of them held an item."""

    first_seq: Seq
    last_seq: Seq
    count: Seq
    reason: GapReason
    first_taken_at_ms: UtcMs | None = None
    last_taken_at_ms: UtcMs | None = None


@dataclass(frozen=True, slots=True)
class EventField:
    """One named detail of an event, as text for a technician; never a patient's name or value."""

    name: Name
    value: str


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is for example `device_added`, `device_lost`, `store_corrupt`, `plan_refused`."""

    seq: Seq
    kind: Name
    at_ms: UtcMs
    boot_id: BootId
    monotonic_ms: MonotonicMs
    device_id: DeviceId | None = None
    fields: tuple[EventField, ...] = ()
