"""What others ask of `registry`: who is cared for, by whom, measured by which device, within which limits.

The only service beside `ehr` that knows names. The snapshots name nobody.
"""

from enum import StrEnum

from bedside_cloud.contracts.message import Message
from bedside_profiles.rules.thresholds import ThresholdRule

CHANGED = "registry.changed"
"""Fan-out of `Changed` after every commit that changes a snapshot. A hint: snapshots are also fetched in turn."""

ASSIGNMENTS = "registry.assignments.snapshot"
"""`Empty` → `AssignmentSnapshot`."""

PLANS = "registry.plans.snapshot"
"""`Empty` → `PlanSnapshot`."""

PATIENTS = "registry.patients.list"
"""`PatientsRequest` → `PatientList`: those in the viewer's care."""

HUBS = "registry.hubs.list"
"""`Empty` → `HubList`."""


class Changed(Message):
    """`version` grows with each change of assignments or plans."""

    version: int


class Assignment(Message):
    """The device measures the patient from `from_ms` until `until_ms` (UTC milliseconds; open when None).

    `user` is the patient's slot on a device that several people use; None when nobody said which it is.
    """

    device_id: str
    patient_id: str
    from_ms: int
    until_ms: int | None = None
    user: int | None = None


class Retirement(Message):
    """What the hub measured from `from_ms` until `until_ms` (open when None) is nobody's until a person says whose."""

    hub_id: str
    from_ms: int
    until_ms: int | None = None


class AssignmentSnapshot(Message):
    """Every assignment, ended ones too: late readings belong to whoever wore the device then.

    `retirements` are the times in which a hub was out of service.
    """

    version: int
    assignments: tuple[Assignment, ...]
    retirements: tuple[Retirement, ...] = ()


class Plan(Message):
    """The limits in force for one patient; `active` is False while the episode is not active."""

    patient_id: str
    plan_id: str
    version: int
    active: bool
    hub_id: str
    rules: tuple[ThresholdRule, ...]


class FormerPlan(Message):
    """By this plan a hub served a patient whom it does not serve any more. It may still hold alarms of that time."""

    plan_id: str
    hub_id: str
    patient_id: str


class PlanSnapshot(Message):
    """The newest plan of every patient; `former` names whom hubs served before, the latest last."""

    version: int
    plans: tuple[Plan, ...]
    former: tuple[FormerPlan, ...] = ()


class EpisodeState(StrEnum):
    """State of an episode of care."""

    PLANNED = "planned"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class PatientsRequest(Message):
    """Patients whose care team `person_id` belongs to."""

    person_id: str


class Patient(Message):
    """A patient as a clinician knows them. `birth_date` is ISO 8601."""

    patient_id: str
    name: str
    birth_date: str
    mrn: str
    episode_state: EpisodeState
    hub_ids: tuple[str, ...] = ()


class PatientList(Message):
    """In no particular order."""

    patients: tuple[Patient, ...]


class Hub(Message):
    """What the cloud knows of a hub. `last_seen_ms` is when its last status came; None before the first.

    `state` is `free`, `placed` or `retired`. `waiting` is how many items the hub still held when it said so last
    (`waiting_at_ms`); of a retired hub only what it said since counts. `label` is what people call it.
    """

    hub_id: str
    state: str
    online: bool
    last_seen_ms: int | None = None
    agent_version: str = ""
    plan_version: int | None = None
    label: str = ""
    waiting: int | None = None
    waiting_at_ms: int | None = None
    retired_at_ms: int | None = None
    replaced_by: str | None = None


class HubList(Message):
    """Every enrolled hub."""

    hubs: tuple[Hub, ...]
