"""What the collecting side reports about itself. The composition root makes events of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from bedside_agent.clock import Instant


class NoticeKind(StrEnum):
    """Each is reported when something changes, not each time it is still so; `fields` are in each kind's comment."""

    DEVICE_CONNECTED = "device_connected"
    DEVICE_LOST = "device_lost"  # reason
    DEVICE_GIVEN_UP = "device_given_up"  # reason
    DEVICE_DONE = "device_done"  # all was said and heard, and the link is ended
    DEVICE_TROUBLE = "device_trouble"  # reason
    DEVICE_CLOCK = "device_clock"  # offset_seconds (ahead of the hub; "unknown" when it says no time), set (yes, no)
    DEVICE_PAIRED = "device_paired"
    REPAIR_NEEDED = "repair_needed"  # reason: the device forgot its bond; the hub's half is removed
    FRAMES_REFUSED = "frames_refused"  # reason, count: first broken frame after good ones, then each doubling
    READINGS_DROPPED = "readings_dropped"  # count of measurements that the full queue lost since the last report


@dataclass(frozen=True, slots=True)
class Notice:
    """`fields` hold text for a technician; never a patient's name or value."""

    device_id: str
    kind: NoticeKind
    at: Instant
    fields: dict[str, str] = field(default_factory=dict)


Report = Callable[[Notice], None]
"""Must not block."""
