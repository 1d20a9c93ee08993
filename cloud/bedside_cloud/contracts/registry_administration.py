"""What a tech asks of `registry` from the command line: patients, episodes, hubs, devices, care teams, limits."""

from typing import Annotated

from pydantic import Field

from bedside_cloud.contracts.message import Message
from bedside_cloud.contracts.registry import EpisodeState
from bedside_profiles.cover import CoverHours
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.rates import RateRule
from bedside_profiles.rules.technical import TechnicalRule
from bedside_profiles.rules.thresholds import ThresholdRule

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: no moment is later."""

PATIENT_ADD = "registry.patients.add"
"""`PatientRequest` → `PatientAnswer`: by medical record number; the same one again changes name and birth date."""

PATIENTS_ALL = "registry.patients.all"
"""`Empty` → `PatientRoll`: every patient, for who manages them."""

EPISODE_SET = "registry.episodes.set"
"""`EpisodeRequest` → `Done`; refused with 409 for a step that does not exist."""

HUB_PLACE = "registry.hubs.place"
"""`PlaceRequest` → `Done`: the hub serves this patient from now on, and nobody else; refused with 409 when the hub is
retired and has not enrolled again."""

HUB_RENAME = "registry.hubs.rename"
"""`RenameRequest` → `Done`; 404 for a hub that is not known."""

HUB_RETIRE = "registry.hubs.retire"
"""`RetireRequest` → `Retired`, also when it was retired before; 404 for a hub that is not known, 409 when it was
replaced by another hub, or began to serve after that time."""

DEVICE_ASSIGN = "registry.devices.assign"
"""`AssignRequest` → `Done`; refused with 409 when a reading of that time could be another patient's too."""

DEVICE_RELEASE = "registry.devices.release"
"""`ReleaseRequest` → `Done`: the open assignment ends; refused with 409 when it is not clear which of several."""

DEVICES = "registry.devices.list"
"""`Empty` → `DeviceRoll`."""

TEAM_ADD = "registry.team.add"
"""`TeamRequest` → `Done`: the person sees this patient from now on."""

LIMITS_SET = "registry.limits.set"
"""`LimitsRequest` → `Done`: the limits in force; the hub is sent a new plan."""


class Done(Message):
    """`changed` is False when it was so already."""

    changed: bool


class PatientRequest(Message):
    """`birth_date` is ISO 8601, `mrn` the hospital's medical record number."""

    name: str
    birth_date: str
    mrn: str


class PatientAnswer(Message):
    """`created` is False when the number was known."""

    patient_id: str
    created: bool


class PatientEntry(Message):
    """One patient with what serves them."""

    patient_id: str
    name: str
    birth_date: str
    mrn: str
    episode_state: EpisodeState | None = None
    hub_id: str | None = None
    device_ids: tuple[str, ...] = ()


class PatientRoll(Message):
    """In order of name."""

    patients: tuple[PatientEntry, ...]


class EpisodeRequest(Message):
    """Start, pause, resume or end the patient's present episode; `planned` begins a new one."""

    patient_id: str
    state: EpisodeState


class PlaceRequest(Message):
    """`patient_id` None takes the hub away from whoever it serves."""

    hub_id: str
    patient_id: str | None


class RenameRequest(Message):
    """`label` is what people call the hub, up to 64 signs; empty: nothing. Its id stays: its certificate names it."""

    hub_id: str
    label: str


class RetireRequest(Message):
    """From `at_ms` (UTC milliseconds, not in the future; None: now) the hub serves nobody. Whom it serves is served by
    `new_hub_id` from that very moment, if one is named; then it must serve somebody, and the other one nobody else."""

    hub_id: str
    new_hub_id: str | None = None
    at_ms: Annotated[int, Field(ge=0, le=LATEST_MS)] | None = None


class Retired(Message):
    """`changed` is False when it was so already; `at_ms` and `new_hub_id` are then those of the first time.

    `patient_id` is whom it served; `device_ids` are the patient's.
    """

    changed: bool
    hub_id: str
    at_ms: int
    new_hub_id: str | None = None
    patient_id: str | None = None
    device_ids: tuple[str, ...] = ()


class AssignRequest(Message):
    """From `from_ms` (UTC milliseconds; None: now) the device measures this patient, in the slot `user`, if named."""

    device_id: str
    patient_id: str
    from_ms: int | None = None
    user: int | None = None


class ReleaseRequest(Message):
    """At `until_ms` (None: now) it stops doing so. Where it measures several people, `patient_id` says whom."""

    device_id: str
    until_ms: int | None = None
    patient_id: str | None = None


class DeviceEntry(Message):
    """A device that a hub has shown, or that was assigned. One that several people use has an entry for each."""

    device_id: str
    hub_id: str | None = None
    profile: str = ""
    patient_id: str | None = None
    user: int | None = None


class DeviceRoll(Message):
    """In order of id."""

    devices: tuple[DeviceEntry, ...]


class TeamRequest(Message):
    """`person_id` is identity's."""

    patient_id: str
    person_id: str


class LimitsRequest(Message):
    """All limits of one patient, and what the patient is told: two telephone numbers, and when somebody looks.

    `cover` is in the patient's local time.
    """

    patient_id: str
    rules: tuple[ThresholdRule, ...]
    emergency_number: str = ""
    call_back_number: str = ""
    rates: tuple[RateRule, ...] = ()
    cadences: tuple[CadenceRule, ...] = ()
    technical: tuple[TechnicalRule, ...] = ()
    cover: tuple[CoverHours, ...] = ()
