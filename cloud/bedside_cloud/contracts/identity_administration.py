"""What a tech asks of `identity` from the command line: claims, people, and which hubs are let in."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from bedside_cloud.contracts.identity import Role
from bedside_cloud.contracts.message import Message

CLAIM_CREATE = "identity.claims.create"
"""`ClaimRequest` → `ClaimAnswer`; refused with 400 for an id that cannot be a hub's."""

PERSON_ADD = "identity.people.add"
"""`PersonRequest` → `PersonAnswer`: adds a person, or gives a known one this role and password. All log-ins of a known
one end."""

PERSON_LOG_OUT = "identity.people.log_out"
"""`NamedPerson` → `PersonAnswer`, after the commit: all their log-ins end; 404 for a name that nobody has."""

PERSON_DISABLE = "identity.people.disable"
"""`NamedPerson` → `PersonAnswer`, after the commit: all their log-ins end, and no new one is let in; 404 likewise."""

PERSON_ENABLE = "identity.people.enable"
"""`NamedPerson` → `PersonAnswer`: they may log in again; 404 likewise."""

PEOPLE = "identity.people.list"
"""`Empty` → `PeopleAnswer`."""

HUB_ACCESS = "identity.hubs.list"
"""`Empty` → `HubAccessList`."""

HUB_ACCESS_SET = "identity.hubs.set_access"
"""`HubAccessRequest` → `HubAccessAnswer`, after the commit; 404 for a hub that never enrolled, 409 for a step that does
not exist (`MAY_BECOME`)."""

HUB_WIPED = "identity.hubs.wiped"
"""`HubWiped` → `Empty`, after the commit: registry has heard from a hub that it is wiped."""

INCIDENTS = "identity.incidents.list"
"""`Empty` → `IncidentList`: the open ones."""

INCIDENT_REPORT = "identity.incidents.report"
"""`IncidentReport` → `Empty`: another service has seen one."""

INCIDENT_SETTLE = "identity.incidents.settle"
"""`IncidentRequest` → `IncidentList`, what is still open; 404 for one that is not."""

CHANGED = "identity.changed"
"""Fan-out of `IdentityChanged` after every commit that changes who is let in. Each replica of identity confirms it once
it decides by it. A lost one is made good in turn."""

HUB_ENROLLED = "identity.hub.enrolled"
"""Fan-out of `HubEnrolled` after the commit. A hint: a hub also shows itself by its first status."""


class Access(StrEnum):
    """What a hub may do. Only `active` and `retired` ones are let in; docs/operations.md has the whole table.

    `suspended` may become active again; `revoked` needs a new enrolment with a new claim. `retired` serves nobody any
    more, and may deliver what it still holds. `wiped` holds nothing any more, and has no certificate.
    """

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    RETIRED = "retired"
    WIPED = "wiped"


LET_IN = frozenset({Access.ACTIVE, Access.RETIRED})
"""Hubs that may connect and renew: one that is retired has to be able to deliver its rest, however late."""

ENDED = frozenset({Access.REVOKED, Access.WIPED})
"""No certificate of such a hub counts any more."""

MAY_BECOME: dict[Access, frozenset[Access]] = {
    Access.ACTIVE: frozenset({Access.SUSPENDED, Access.RETIRED, Access.REVOKED}),
    Access.SUSPENDED: frozenset({Access.ACTIVE, Access.RETIRED, Access.REVOKED}),
    Access.RETIRED: frozenset({Access.WIPED, Access.REVOKED}),
    Access.REVOKED: frozenset({Access.WIPED}),
    Access.WIPED: frozenset(),
}
"""Steps that a tech may take; each state may also be asked for again. Back to `active` from the last three leads a new
enrolment alone, with a claim that was made after the step."""


class ClaimRequest(Message):
    """A claim that lets `hub_id`, and no other, enrol once within `life_seconds`."""

    hub_id: str
    life_seconds: Annotated[int, Field(ge=0, le=2**31)] = 86_400
    hub_serial: str | None = None
    """The computer's serial number, where it is known: then no other can use the claim."""


class ClaimAnswer(Message):
    """The claim is shown this once: only its hash is kept."""

    hub_id: str
    claim: str = Field(repr=False)
    expires_at_ms: int


class PersonRequest(Message):
    """`name` is what the person logs in with."""

    name: str
    role: Role
    password: str = Field(repr=False)


class NamedPerson(Message):
    """By what they log in with."""

    name: str


class PersonAnswer(Message):
    """`created` is False when the person was known already. A `disabled` one cannot log in.

    `everywhere` is False when log-ins ended, and not every gateway has confirmed that it refuses them; one that could
    not be reached does so seconds after it can.
    """

    person_id: str
    name: str
    role: Role
    created: bool = False
    disabled: bool = False
    everywhere: bool = True


class PeopleAnswer(Message):
    """In order of name."""

    people: tuple[PersonAnswer, ...]


class HubAccessRequest(Message):
    """What a hub is to be allowed from now on. `why` is kept in the record of deeds: another hub's id, for example."""

    hub_id: str
    access: Access
    why: str = ""


class HubWiped(Message):
    """The hub has said so, after its keys were gone."""

    hub_id: str


class HubAccessEntry(Message):
    """One enrolled hub. `certificate_ends_ms` is when its newest certificate ends; `oversized` counts how often the
    broker cut it because of a message above its limit. `hub_serial` is its computer's serial number, where it told one;
    `since_ms` is when its state or its certificate changed last."""

    hub_id: str
    access: Access
    enrolled_at_ms: int
    certificate_ends_ms: int
    oversized: int = 0
    hub_serial: str | None = None
    since_ms: int | None = None


class HubAccessAnswer(Message):
    """`everywhere` is False when not every replica of identity has confirmed that it decides by this now; one that is
    cut off from the database does so once it is back."""

    hub: HubAccessEntry
    everywhere: bool


class HubAccessList(Message):
    """In order of id."""

    hubs: tuple[HubAccessEntry, ...]


class IncidentKind(StrEnum):
    """What only a person can clear up."""

    CLAIM_USED_AGAIN = "claim_used_again"
    """A claim that was used up came once more: it was copied, or its first answer was lost."""

    CLAIM_OF_ANOTHER = "claim_of_another"
    """A good claim came with another hub's id, or from another computer than it is for."""

    REQUEST_REPLAYED = "request_replayed"
    """The very bytes of an earlier certificate request came again."""

    KEY_OF_ANOTHER = "key_of_another"
    """A key that is another hub's: a copied SD card."""

    REPLACED_CERTIFICATE = "replaced_certificate"
    """Somebody came with a certificate that the hub has replaced: a copied SD card, or one put back from a copy."""

    TWO_AT_ONCE = "two_at_once"
    """Two computers speak as this hub in turn: a copied SD card."""

    ANOTHER_COMPUTER = "another_computer"
    """Another computer came with a good claim for a hub that is out of service: the id would have changed hands."""

    WIPED_IN_SERVICE = "wiped_in_service"
    """A hub says that it is wiped which is not retired: whoever it serves is not monitored."""


class Incident(Message):
    """`last_at_ms` is when it was seen last, `times` how often in all."""

    incident_id: int
    hub_id: str
    kind: IncidentKind
    first_at_ms: int
    last_at_ms: int
    times: int


class IncidentList(Message):
    """The newest first."""

    incidents: tuple[Incident, ...]


class IncidentReport(Message):
    """What was seen, of which hub."""

    hub_id: str
    kind: IncidentKind


class IncidentRequest(Message):
    """Which one was cleared up."""

    incident_id: Annotated[int, Field(ge=1, le=2**31)]


class IdentityChanged(Message):
    """`version` grows with each change; what changed is how this hub is let in."""

    version: int
    hub_id: str


class HubEnrolled(Message):
    """The hub has a certificate now."""

    hub_id: str
