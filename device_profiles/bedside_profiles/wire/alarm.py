"""An alarm that the hub raised by itself. It carries its inputs, because it overtakes its readings."""

from dataclasses import dataclass
from enum import StrEnum

from bedside_profiles.bounds import Name
from bedside_profiles.readings import ClockQuality, Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.kinds import BootId, DeviceId, MonotonicMs, Seq, UtcMs, Uuid


class AlarmKind(StrEnum):
    """A technical alarm says that the patient is not being measured; it is never mixed with the others."""

    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"


class AlarmState(StrEnum):
    """`updated`: an active alarm has got worse, by its priority or beyond a second limit; it is to be heard anew.

    `cleared` means the rule's clear condition held.
    """

    RAISED = "raised"
    UPDATED = "updated"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class AlarmInput:
    """A reading that took part in the decision; `seq` is its place in the readings lane when it has one.

    `monotonic_ms` counts from the alarm's own boot; None when the reading was taken in an earlier one.
    """

    metric: Metric
    value: float | None
    taken_at_ms: UtcMs
    range_flag: RangeFlag | None = None
    seq: Seq | None = None
    monotonic_ms: MonotonicMs | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """One transition of one alarm condition. `episode` joins raised, updated and cleared of one occurrence.

    A physiological condition is about the patient, whichever device found it; a technical one is about `device_id`.
    Priority never falls within an episode. `retrospective`: it was over before the hub learned of it.
    """

    seq: Seq
    episode: Uuid
    condition: Name
    kind: AlarmKind
    priority: Priority
    state: AlarmState
    at_ms: UtcMs
    onset_ms: UtcMs
    boot_id: BootId
    monotonic_ms: MonotonicMs
    clock_quality: ClockQuality
    patient_id: Uuid | None = None
    plan_id: Uuid | None = None
    plan_version: int | None = None
    rule_id: Name | None = None
    device_id: DeviceId | None = None
    metric: Metric | None = None
    value: float | None = None
    range_flag: RangeFlag | None = None
    limit: float | None = None
    inputs: tuple[AlarmInput, ...] = ()
    test: bool = False
    retrospective: bool = False
