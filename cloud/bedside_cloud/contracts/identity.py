"""What others ask of `identity`: log-in, keys to check a token with, enrolment of a hub."""

from enum import StrEnum

from pydantic import Field

from bedside_cloud.contracts.message import Message

LOGIN = "identity.login"
"""`LoginRequest` → `LoginAnswer`; refused with code 401 for a wrong name or password, 429 for too many tries."""

KEYS = "identity.keys"
"""`Empty` → `SigningKeys`: the JSON Web Key Set that access tokens are checked with."""

LOGOUT = "identity.logout"
"""`LogoutRequest` → `Empty`, after the commit: this log-in ends before its time. Asked for again, it is confirmed."""

ENDED_LOGINS = "identity.logins.ended"
"""`Empty` → `EndedLogins`: every log-in that ended before its time, as long as its token would still be good."""

LOGINS_CHANGED = "identity.logins.changed"
"""Fan-out of `EndedLogins` after every commit that ends log-ins: what is new. Whoever lets people in confirms it once
it decides by it. A lost one is made good in turn, by `ENDED_LOGINS`."""

EST_CA = "identity.est.cacerts"
"""`Empty` → `CertificatesOnly`: the chain that a hub is to trust."""

EST_ENROL = "identity.est.simpleenroll"
"""`EnrolRequest` → `CertificatesOnly`; refused with 401 for a claim that is unknown, used, expired or another hub's."""

EST_REENROL = "identity.est.simplereenroll"
"""`ReenrolRequest` → `CertificatesOnly`; refused with 401 for a certificate that is none of ours or was replaced, with
403 for a hub that is not active, with 429 for one that got too many within the hour."""

EST_CRL = "identity.est.crl"
"""`RevocationRequest` → `RevocationList`: the certificates of hubs that are refused before they expire.
Refused with 404 for an issuing authority that there is not."""

ISSUER = "bedside-identity"
AUDIENCE = "bedside-console"
"""`iss` and `aud` of the access tokens that the built-in issuer makes."""


class Role(StrEnum):
    """What a person is here for; rights follow from it."""

    PATIENT = "patient"
    FAMILY = "family"
    NURSE = "nurse"
    PHYSICIAN = "physician"
    TECH = "tech"
    ADMIN = "admin"


CLINICAL_ROLES = frozenset({Role.NURSE, Role.PHYSICIAN})
"""Who may see the values of patients in their care and acknowledge alerts."""


class LoginRequest(Message):
    """A person's log-in; `password` is compared with its Argon2id hash."""

    name: str
    password: str = Field(repr=False)


class LoginAnswer(Message):
    """`access_token` is a JWT (ES256) with `sub`, `name`, `role`, `iat`, `exp`, `iss`, `aud`, with `jti`, the id of
    this log-in, and `series`: see `PersonSeries`."""

    access_token: str = Field(repr=False)
    expires_in_seconds: int


class LogoutRequest(Message):
    """Which log-in of whom; `expires_at_ms` is when it would have ended anyway."""

    person_id: str
    login_id: str
    expires_at_ms: int


class PersonSeries(Message):
    """Of this person only tokens with this `series` or a later one are good. It is counted, not timed: no clock and no
    log-in that was under way meanwhile can let an earlier one pass."""

    person_id: str
    series: int


class EndedLogin(Message):
    """One log-in that was ended by itself; after `expires_at_ms` its token is good for nothing anyway."""

    login_id: str
    expires_at_ms: int


class EndedLogins(Message):
    """Log-ins that are not good any more. Nothing in it is ever taken back: hearing it twice or late changes nothing.

    Tokens that were issued before `refuse_issued_before_ms` are refused: the database was restored since, and may have
    forgotten that they were taken back.
    """

    refuse_issued_before_ms: int = 0
    series: tuple[PersonSeries, ...] = ()
    logins: tuple[EndedLogin, ...] = ()


class SigningKeys(Message):
    """`jwks` is the JSON text of a JSON Web Key Set (RFC 7517)."""

    jwks: str


class EnrolRequest(Message):
    """`csr_der` is PKCS#10; `hub_id` and `claim` came as HTTP Basic (RFC 7030, 3.2.3)."""

    hub_id: str
    claim: str = Field(repr=False)
    csr_der: bytes


class ReenrolRequest(Message):
    """`certificate_der` is what the hub showed in the TLS handshake: it holds the key, and the chain leads to our root.
    Dates are not checked yet. `csr_der` is PKCS#10 for its next key (RFC 7030, 4.2.2)."""

    certificate_der: bytes
    csr_der: bytes


class RevocationRequest(Message):
    """`issuer`: the serial number of an earlier issuing authority in lower-case hexadecimal; empty: the present."""

    issuer: str = ""


class RevocationList(Message):
    """`crl_der` is an X.509 CRL (RFC 5280, 5) of that issuing authority."""

    crl_der: bytes


class CertificatesOnly(Message):
    """`pkcs7_der` is a certs-only CMS Signed-Data (RFC 7030, 4.1.3 and 4.2.3)."""

    pkcs7_der: bytes
