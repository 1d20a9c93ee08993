"""What happened to the hub or its devices, and gaps: readings that were produced and will never come."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bedside_profiles.bounds import Name
from bedside_profiles.wire.kinds import BootId, DeviceId, MonotonicMs, Seq, UtcMs

_STORE_ID = re.compile(r"[0-9a-f]{32}")
_SEQ = re.compile(r"[1-9][0-9]{0,17}")

PATIENT_SAYS_WELL = "patient_says_well"
"""The event's kind: the patient has answered the alarms that sound with "I am all right"."""


NOT_MINE = "not_mine"
"""The event's kind: the patient says that somebody else made a measurement. Its fields name it; see
`disowned_measurement`."""


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


def not_mine_fields(store_id: str, first_seq: int) -> tuple[EventField, ...]:
    """The fields of an event `NOT_MINE`, about the measurement whose first reading has this sequence in that store."""
    return (EventField("store_id", store_id), EventField("first_seq", str(first_seq)))


def disowned_measurement(event: Event) -> tuple[str, int] | None:
    """Store and first sequence that an event `NOT_MINE` names; None when it names none."""
    named = {field.name: field.value for field in event.fields}
    store_id, first_seq = named.get("store_id", ""), named.get("first_seq", "")
    if not _STORE_ID.fullmatch(store_id) or not _SEQ.fullmatch(first_seq):
        return None
    return store_id, int(first_seq)
