"""Who is looking: an access token checked against identity's keys."""

import json
import time
from dataclasses import dataclass, field

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.identity import AUDIENCE, CLINICAL_ROLES, ISSUER, KEYS, Role, SigningKeys
from bedside_cloud.contracts.message import Empty
from bedside_cloud.gateway.logins import Logins

KEYS_KEPT_SECONDS = 300
"""After this long the keys are fetched anew, so that a withdrawn signing key stops working."""

CLAIMS = JWTClaimsRegistry(
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    exp={"essential": True},
    role={"essential": True},
    name={"essential": True},
    iat={"essential": True},
    jti={"essential": True},
    series={"essential": True},
)


class NotLoggedInError(Exception):
    """There is no token, or it does not hold."""


@dataclass(frozen=True, order=True, slots=True)
class Read:
    """Something of one patient that a viewer is shown; `what` is a word of a to z and underscores."""

    patient_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """A logged-in person. `expires_at` is in seconds since 1970.

    `reads` is what the present request is about to show, and is not yet in the audit log.
    """

    person_id: str
    name: str
    role: Role
    expires_at: int
    login_id: str = ""
    series: int = 0
    issued_at: int = 0
    reads: set[Read] = field(default_factory=set, compare=False, repr=False)

    def shown(self, what: str, *patient_ids: str) -> None:
        """Note that the viewer is about to be shown something of these patients."""
        self.reads.update(Read(patient_id, what) for patient_id in patient_ids)

    @property
    def clinical(self) -> bool:
        """Whether this person may see values of patients in their care."""
        return self.role in CLINICAL_ROLES


class Viewers:
    """Checks tokens; keeps identity's keys for a while."""

    def __init__(self, bus: Bus, logins: Logins) -> None:
        self._bus = bus
        self._logins = logins
        self._keys: KeySet | None = None
        self._fetched_at = 0.0

    async def viewer(self, token: str | None) -> Viewer:
        """The person behind a token; NotLoggedInError, or BusError while identity does not answer."""
        if not token:
            raise NotLoggedInError
        keys = await self._current_keys()
        await self._logins.heard()
        try:
            decoded = jwt.decode(token, keys, algorithms=["ES256"])
            CLAIMS.validate(decoded.claims)
            claims = decoded.claims
            viewer = Viewer(
                claims["sub"],
                claims["name"],
                Role(claims["role"]),
                int(claims["exp"]),
                claims["jti"],
                int(claims["series"]),
                int(claims["iat"]),
            )
        except (JoseError, ValueError, TypeError) as cause:
            raise NotLoggedInError from cause
        if self.is_over(viewer):
            raise NotLoggedInError
        return viewer

    def is_over(self, viewer: Viewer) -> bool:
        """Whether the viewer's log-in has ended since, by its time or before."""
        return time.time() >= viewer.expires_at or self._logins.is_ended(
            viewer.person_id, viewer.login_id, viewer.series, viewer.issued_at
        )

    async def _current_keys(self) -> KeySet:
        if self._keys is None or time.monotonic() - self._fetched_at > KEYS_KEPT_SECONDS:
            answer = await self._bus.request(KEYS, Empty(), SigningKeys)
            self._keys = KeySet.import_key_set(json.loads(answer.jwks))
            self._fetched_at = time.monotonic()
        return self._keys
