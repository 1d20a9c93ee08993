"""The care plan that a hub runs by itself when the network is gone."""

from dataclasses import dataclass

from bedside_profiles.rules.thresholds import ThresholdRule
from bedside_profiles.wire.kinds import DeviceId, HubId, Schema, UtcMs, Uuid


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device that measures this patient from `from_ms` until `until_ms` (open when None)."""

    device_id: DeviceId
    from_ms: UtcMs
    until_ms: UtcMs | None = None


@dataclass(frozen=True, slots=True)
class CarePlan:
    """Limits, devices and whom to call. A higher `version` of the same or another plan replaces a lower one.

    `active` is False while the episode of care is planned, paused or ended: the hub then measures and raises
    nothing. `emergency_number` and `call_back_number` are what the patient is told.
    """

    schema: Schema
    plan_id: Uuid
    version: int
    hub_id: HubId
    patient_id: Uuid
    issued_at_ms: UtcMs
    active: bool
    rules: tuple[ThresholdRule, ...] = ()
    devices: tuple[PlannedDevice, ...] = ()
    emergency_number: str = ""
    call_back_number: str = ""
