"""The hub's birth, heartbeat and last will, and its replies to what came down."""

from dataclasses import dataclass
from enum import StrEnum

from bedside_profiles.bounds import Name
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.kinds import BootId, DeviceId, HubId, MonotonicMs, Schema, UtcMs, Uuid


class HubState(StrEnum):
    """`online` is said at birth and at every heartbeat, `offline` by the last will or on a clean stop."""

    ONLINE = "online"
    OFFLINE = "offline"


class LinkState(StrEnum):
    """What the hub knows of one device's link.

    `waiting_for_slot`: it is there, and all connections that the hub's adapter can hold are in use. `repair_needed`: it
    has forgotten the hub, which has forgotten it too; somebody must put it into its pairing mode.
    """

    CONNECTED = "connected"
    SEARCHING = "searching"
    LOST = "lost"
    WAITING_FOR_SLOT = "waiting_for_slot"
    REPAIR_NEEDED = "repair_needed"


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """`last_reading_ms` is the UTC time of the newest reading; None when there was none since start."""

    device_id: DeviceId
    profile: Name
    link: LinkState
    last_reading_ms: UtcMs | None = None
    battery_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """`session` is new at each connection, so that a late will is not taken for the present state.

    `waiting` counts items not yet covered by a receipt. `faults` are the hub's own, by the names of their conditions.
    The receipt that answers this status repeats `monotonic_ms`, the hub's running time: so it learns what time it is.
    """

    schema: Schema
    hub_id: HubId
    state: HubState
    session: Uuid
    at_ms: UtcMs | None = None
    clock_quality: ClockQuality = ClockQuality.UNSYNCED
    agent_version: str = ""
    boot_id: BootId | None = None
    plan_id: Uuid | None = None
    plan_version: int | None = None
    waiting: int = 0
    devices: tuple[DeviceStatus, ...] = ()
    faults: tuple[Name, ...] = ()
    monotonic_ms: MonotonicMs | None = None
