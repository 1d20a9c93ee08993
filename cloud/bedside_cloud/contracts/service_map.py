"""The declared map: which service may say, hear and ask what, which schema it owns, which data it sees.

Broker permissions and database roles are generated from it; an edge that is not in it is refused. Subjects are NATS
subjects; `requests` are answered by another service, `serves` are answered by this one. Only a hub's id is ever left
open (`*`): a subject that a service will need one day is added on that day.
"""

from dataclasses import dataclass
from enum import StrEnum

from bedside_cloud.contracts import alerts, hub_commands, identity, patient_file, readings, registry, releases
from bedside_cloud.contracts import identity_administration as people
from bedside_cloud.contracts import registry_administration as care
from bedside_profiles.wire.topics import DownLane, UpLane, subject


class DataClass(StrEnum):
    """Kinds of data by what harm their disclosure does."""

    IDENTIFIERS = "identifiers"
    CLINICAL = "clinical"
    CREDENTIALS = "credentials"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Appended:
    """Columns of one table of the platform."""

    schema: str
    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One row of the map. `confirms` are those of `subscribes` of which it answers that it has heard them. `streams`
    are the JetStream streams that it creates and reads; `appends` are tables of the platform's to which it may add
    rows, which it can read and never change."""

    name: str
    sees: tuple[DataClass, ...]
    schema: str | None = None
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    confirms: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    appends: tuple[Appended, ...] = ()
    replicas: int = 1

    @property
    def responds(self) -> bool:
        """Whether it answers anybody."""
        return bool(self.serves or self.confirms)


def _up(lane: UpLane) -> str:
    return subject("*", lane)


def _down(lane: DownLane) -> str:
    return subject("*", lane)


IDENTITY_FOR_OPERATOR = (
    people.CLAIM_CREATE,
    people.PERSON_ADD,
    people.PEOPLE,
    people.PERSON_LOG_OUT,
    people.PERSON_DISABLE,
    people.PERSON_ENABLE,
    people.HUB_ACCESS,
    people.HUB_ACCESS_SET,
    people.INCIDENTS,
    people.INCIDENT_SETTLE,
)
EST = (identity.EST_CA, identity.EST_ENROL, identity.EST_REENROL, identity.EST_CRL)
RELEASES = (
    releases.RELEASE_ADD,
    releases.RELEASE_PART,
    releases.RELEASES,
    releases.RELEASE_REMOVE,
    releases.ROLLOUT_START,
    releases.ROLLOUTS,
    releases.ROLLOUT_SHOW,
    releases.ROLLOUT_SET,
)
REGISTRY_FOR_OPERATOR = (
    registry.HUBS,
    care.PATIENT_ADD,
    care.PATIENTS_ALL,
    care.EPISODE_SET,
    care.HUB_PLACE,
    care.HUB_RENAME,
    care.HUB_RETIRE,
    care.DEVICE_ASSIGN,
    care.DEVICE_RELEASE,
    care.DEVICES,
    care.TEAM_ADD,
    care.LIMITS_SET,
    patient_file.PATIENT_FILE,
    hub_commands.COMMAND_GIVE,
    hub_commands.COMMANDS,
    hub_commands.COMMAND_CONTENT,
    *RELEASES,
)
FLEET_FOR_TECHNICIANS = (
    people.CLAIM_CREATE,
    people.HUB_ACCESS,
    people.HUB_ACCESS_SET,
    people.INCIDENTS,
    people.INCIDENT_SETTLE,
    care.HUB_RENAME,
    care.HUB_RETIRE,
    care.DEVICES,
    hub_commands.COMMAND_GIVE,
    hub_commands.COMMANDS,
    hub_commands.COMMAND_CONTENT,
    *RELEASES,
)
"""What the gateway passes on for a technician who is logged in; of no patient's name."""

INGEST_FOR_OPERATOR = (readings.QUARANTINE, readings.QUARANTINE_CONFIRM, readings.QUARANTINE_DISMISS)
"""What a tech asks for at the command line. Of a measurement in quarantine no value is told."""

SERVICES: tuple[ServiceEntry, ...] = (
    ServiceEntry(
        name="identity",
        sees=(DataClass.CREDENTIALS,),
        schema="identity",
        publishes=(people.CHANGED, people.HUB_ENROLLED, identity.LOGINS_CHANGED),
        subscribes=("$SYS.REQ.USER.AUTH", people.CHANGED),
        confirms=(people.CHANGED,),
        serves=(
            identity.LOGIN,
            identity.LOGOUT,
            identity.ENDED_LOGINS,
            identity.KEYS,
            people.INCIDENT_REPORT,
            people.HUB_WIPED,
            *EST,
            *IDENTITY_FOR_OPERATOR,
        ),
        appends=(Appended("audit", "deeds", ("actor", "deed", "subject", "detail")),),
        replicas=2,
    ),
    ServiceEntry(
        name="registry",
        sees=(DataClass.IDENTIFIERS, DataClass.CLINICAL),
        schema="registry",
        publishes=(registry.CHANGED, _down(DownLane.CAREPLAN), _down(DownLane.COMMANDS)),
        subscribes=(_up(UpLane.STATUS), _up(UpLane.REPLIES), people.HUB_ENROLLED),
        serves=(
            registry.ASSIGNMENTS,
            registry.PLANS,
            registry.PATIENTS,
            readings.STORED_EVENT,
            releases.RELEASE_BYTES,
            *REGISTRY_FOR_OPERATOR,
        ),
        requests=(people.INCIDENT_REPORT, people.HUB_WIPED, people.HUB_ACCESS),
        appends=(Appended("audit", "deeds", ("actor", "deed", "subject", "detail")),),
    ),
    ServiceEntry(
        name="ingest",
        sees=(DataClass.CLINICAL,),
        schema="ingest",
        publishes=(readings.LIVE, _down(DownLane.RECEIPTS)),
        subscribes=(registry.CHANGED, _up(UpLane.STATUS)),
        serves=(readings.LATEST, readings.TREND, readings.WAVEFORMS, readings.UNASSIGNED, *INGEST_FOR_OPERATOR),
        requests=(
            registry.ASSIGNMENTS,
            readings.STORED_READINGS,
            readings.STORED_ALARM,
            readings.STORED_EVENT,
            readings.STORED_WORD,
        ),
        streams=("ALARMS", "READINGS"),
    ),
    ServiceEntry(
        name="alerting",
        sees=(DataClass.CLINICAL,),
        schema="alerting",
        publishes=(alerts.CHANGED, _down(DownLane.ALERTS)),
        subscribes=(registry.CHANGED, _up(UpLane.STATUS)),
        serves=(alerts.LIST, alerts.ACKNOWLEDGE, readings.STORED_READINGS, readings.STORED_ALARM, readings.STORED_WORD),
        requests=(registry.PLANS,),
    ),
    ServiceEntry(
        name="gateway",
        sees=(DataClass.IDENTIFIERS, DataClass.CLINICAL, DataClass.CREDENTIALS),
        schema="gateway",
        appends=(Appended("audit", "reads", ("person_id", "patient_id", "what")),),
        subscribes=(alerts.CHANGED, readings.LIVE, registry.CHANGED, identity.LOGINS_CHANGED),
        confirms=(identity.LOGINS_CHANGED,),
        requests=(
            identity.LOGIN,
            identity.LOGOUT,
            identity.ENDED_LOGINS,
            identity.KEYS,
            *EST,
            releases.RELEASE_BYTES,
            registry.PATIENTS,
            registry.HUBS,
            registry.PLANS,
            readings.LATEST,
            readings.TREND,
            readings.WAVEFORMS,
            readings.UNASSIGNED,
            alerts.LIST,
            alerts.ACKNOWLEDGE,
            *FLEET_FOR_TECHNICIANS,
        ),
    ),
    ServiceEntry(
        name="operator",
        sees=(DataClass.IDENTIFIERS, DataClass.CREDENTIALS, DataClass.OPERATIONS),
        requests=(*IDENTITY_FOR_OPERATOR, *REGISTRY_FOR_OPERATOR, *INGEST_FOR_OPERATOR),
    ),
)
"""Every bus user. `operator` is the command line of whoever holds the state directory; it owns no schema."""
