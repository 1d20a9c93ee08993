"""A patient's file at `registry`, for who manages it: episodes, hubs, devices and plans, each with its dates."""

from bedside_cloud.contracts.message import Message
from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.contracts.registry_administration import LimitsRequest, PatientEntry

PATIENT_FILE = "registry.patients.file"
"""`FileRequest` → `PatientFile`; 404 for a patient that is not known."""

MOST_PLANS = 200


class FileRequest(Message):
    """Whose."""

    patient_id: str


class EpisodeEntry(Message):
    """An episode of care; times are UTC milliseconds, None for a step that did not happen."""

    state: EpisodeState
    planned_at_ms: int
    started_at_ms: int | None = None
    ended_at_ms: int | None = None


class ServedBy(Message):
    """A hub that serves or served the patient; `until_ms` None: now."""

    hub_id: str
    from_ms: int
    until_ms: int | None = None


class MeasuredBy(Message):
    """A device that measures or measured the patient, in a slot where it has several."""

    device_id: str
    from_ms: int
    until_ms: int | None = None
    user: int | None = None


class IssuedPlan(Message):
    """A plan as it was sent to a hub. `outcome` is applied, refused, or empty while the hub has not answered.

    `runs` says whether it is the plan by which its hub alarms now, as far as the hub has said.
    """

    hub_id: str
    version: int
    active: bool
    rules: int
    issued_at_ms: int
    answered_at_ms: int | None = None
    outcome: str = ""
    reason: str = ""
    runs: bool = False


class PatientFile(Message):
    """The newest first in every list, plans up to 200 of them. `limits` are those in force, None before the first."""

    patient: PatientEntry
    episodes: tuple[EpisodeEntry, ...] = ()
    hubs: tuple[ServedBy, ...] = ()
    devices: tuple[MeasuredBy, ...] = ()
    plans: tuple[IssuedPlan, ...] = ()
    limits: LimitsRequest | None = None
