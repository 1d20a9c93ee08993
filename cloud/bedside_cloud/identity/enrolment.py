"""Certificates for hubs: enrolment with a claim, renewal with the one at hand, and the list of those refused."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import identity
from bedside_cloud.contracts.identity import (
    CertificatesOnly,
    EnrolRequest,
    ReenrolRequest,
    RevocationList,
    RevocationRequest,
)
from bedside_cloud.contracts.identity_administration import LET_IN, Access, IdentityChanged, IncidentKind
from bedside_cloud.contracts.message import Empty
from bedside_cloud.database.pool import Connection, Database
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import Certificate, Issued
from bedside_cloud.engines.certificates.requests import HubRequest, RequestError, hub_request
from bedside_cloud.engines.certificates.revocation import RevokedFor, revocation_list
from bedside_cloud.engines.certificates.token import TokenError, TokenKey
from bedside_cloud.identity import store
from bedside_cloud.identity.claims import claim_sha256
from bedside_cloud.identity.store import ClaimInForce, HubRecord
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import check_hub_id

LOG = logging.getLogger(__name__)

Made = TypeVar("Made")

TOKEN_SECONDS = 3.0
"""Less than the listener waits for an answer."""

_TOKEN_THREAD = ThreadPoolExecutor(1, thread_name_prefix="token")
"""Of its own: whoever waits for a token that hangs takes no thread from those who check passwords."""

LONGEST_ABSENCE = timedelta(days=365)
"""How long after its end a certificate still renews: a hub that lay in a drawer comes back without a visit."""

MOST_IN_AN_HOUR = 10
"""Certificates for one hub. One whose answers are lost asks again and again; more than that is a fault or an attack."""


class Enrolment:
    """`changed` and `enrolled(hub_id)` are awaited after the commit and before the answer.

    `earlier` are the issuing authorities before `issuing`: what they issued still counts, and they issue no more.
    """

    def __init__(
        self,
        database: Database,
        issuing: Issued,
        earlier: tuple[Issued, ...],
        root: Certificate,
        clock: Callable[[], datetime],
        changed: Callable[[IdentityChanged], Awaitable[bool]],
        enrolled: Callable[[str], Awaitable[None]],
    ) -> None:
        self._database = database
        self._issuing = issuing
        self._issuers = (issuing, *earlier)
        self._root = root
        self._clock = clock
        self._changed = changed
        self._enrolled = enrolled

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """What the enrolment listener asks for."""
        return (
            Endpoint(identity.EST_CA, Empty, self.ca_certificates),
            Endpoint(identity.EST_ENROL, EnrolRequest, self.enrol),
            Endpoint(identity.EST_REENROL, ReenrolRequest, self.reenrol),
            Endpoint(identity.EST_CRL, RevocationRequest, self.revocation_list),
        )

    async def ca_certificates(self, _request: Empty) -> CertificatesOnly:
        issuers = [one.certificate for one in self._issuers]
        return CertificatesOnly(pkcs7_der=authority.certificates_only([*issuers, self._root]))

    async def enrol(self, request: EnrolRequest) -> CertificatesOnly:
        hub_id = checked_hub_id(request.hub_id)
        # Before the claim is used: a hub with a faulty request may try again with it.
        wanted = _read(request.csr_der, hub_id)
        now, claim = self._clock(), claim_sha256(request.claim)
        certificate = await self._issue(hub_id, wanted, now)
        version = 0
        async with self._database.transaction() as connection:
            refusal = await _misused(connection, hub_id, wanted, now)
            if refusal is None:
                refusal = await _not_to_enrol(connection, hub_id, claim, wanted.hub_serial, now)
            if refusal is None:
                await store.use_claim(connection, claim, now)
                await store.enrol(connection, hub_id, certificate, wanted)
                issued = authority.issued_at(certificate)
                await _supersede(connection, hub_id, issued, now)
                await store.add_deed(connection, hub_id, "hub_enrolled", hub_id, authority.serial_hex(certificate))
                version = await store.next_version(connection)
        if refusal is not None:
            LOG.warning("enrolment_refused hub=%s", hub_id)
            raise refusal
        LOG.info("enrolled hub=%s", hub_id)
        await self._changed(IdentityChanged(version=version, hub_id=hub_id))
        await self._enrolled(hub_id)
        return self._answer(certificate)

    async def reenrol(self, request: ReenrolRequest) -> CertificatesOnly:
        shown, hub_id = self._shown(request.certificate_der)
        wanted = _read(request.csr_der, hub_id)
        now = self._clock()
        certificate = await self._issue(hub_id, wanted, now)
        async with self._database.transaction() as connection:
            refusal = await self._refusal(connection, hub_id, shown, now)
            if refusal is None:
                refusal = await _misused(connection, hub_id, wanted, now)
            if refusal is None:
                await store.keep_certificate(connection, hub_id, certificate, wanted)
                await store.learn_serial(connection, hub_id, wanted.hub_serial)
                serial = authority.serial_hex(certificate)
                await store.add_deed(connection, hub_id, "certificate_renewed", hub_id, serial)
        if refusal is not None:
            LOG.warning("renewal_refused hub=%s code=%s", hub_id, refusal.code)
            raise refusal
        LOG.info("renewed hub=%s", hub_id)
        return self._answer(certificate)

    async def revocation_list(self, request: RevocationRequest) -> RevocationList:
        issuer = self._issuing
        if request.issuer:
            named = [one for one in self._issuers if authority.serial_hex(one.certificate) == request.issuer]
            if not named:
                raise RefusedError(404, "There is no such issuing authority.")
            issuer = named[0]
        now = self._clock()
        async with self._database.transaction() as connection:
            number, revoked = await store.revoked(connection, now)
        return RevocationList(crl_der=await _signed(issuer, lambda: revocation_list(issuer, revoked, number, now)))

    async def _issue(self, hub_id: str, wanted: HubRequest, now: datetime) -> Certificate:
        return await _signed(self._issuing, lambda: authority.issue_hub(self._issuing, hub_id, wanted.key, now))

    def _answer(self, certificate: Certificate) -> CertificatesOnly:
        return CertificatesOnly(pkcs7_der=authority.certificates_only([certificate, self._issuing.certificate]))

    def _shown(self, der: bytes) -> tuple[Certificate, str]:
        """The certificate that a hub came with, and whose it is by its name."""
        try:
            certificate = authority.certificate_from_der(der)
            hub_id = check_hub_id(authority.common_name(certificate))
        except (ValueError, MalformedError) as wrong:
            raise RefusedError(401, "The certificate is not a hub's.") from wrong
        is_ours = any(authority.is_issued_by(certificate, one.certificate) for one in self._issuers)
        if not is_ours or not authority.may_be_client(certificate):
            raise RefusedError(401, "The certificate is not a hub's.")
        return certificate, hub_id

    async def _refusal(
        self, connection: Connection, hub_id: str, shown: Certificate, now: datetime
    ) -> RefusedError | None:
        """Why the hub's certificate does not renew; None when it does."""
        found = await store.hub_for_renewal(connection, hub_id)
        if found is None:
            return RefusedError(401, "This hub never enrolled here: it needs a claim.")
        access, refused_before = found
        if access not in LET_IN:
            return RefusedError(403, f"This hub is {access.value}.")
        if authority.issued_at(shown) < refused_before:
            await _incident(connection, hub_id, IncidentKind.REPLACED_CERTIFICATE, now)
            return RefusedError(401, "The certificate was replaced or revoked: the hub needs a claim.")
        if await store.is_revoked_certificate(connection, shown):
            return RefusedError(401, "The certificate is revoked: the hub needs a claim.")
        if now > shown.not_valid_after_utc + LONGEST_ABSENCE:
            return RefusedError(401, "The certificate ended too long ago: the hub needs a claim.")
        if await store.certificates_since(connection, hub_id, now - timedelta(hours=1)) >= MOST_IN_AN_HOUR:
            return RefusedError(429, "This hub has got too many certificates within the hour. Try again later.")
        return None


def checked_hub_id(hub_id: str) -> str:
    """The id; `RefusedError` when it cannot be a hub's."""
    try:
        return check_hub_id(hub_id)
    except MalformedError as wrong:
        raise RefusedError(400, str(wrong)) from wrong


async def _misused(connection: Connection, hub_id: str, wanted: HubRequest, now: datetime) -> RefusedError | None:
    kind = await store.misuse_of_request(connection, hub_id, wanted)
    if kind is None:
        return None
    await _incident(connection, hub_id, kind, now)
    return RefusedError(400, "This request, or its key, was used before. Make another.")


async def _not_to_enrol(
    connection: Connection, hub_id: str, claim: bytes, hub_serial: str | None, now: datetime
) -> RefusedError | None:
    """Why this claim does not let the hub enrol; None when it does. A claim that is in force is not used up by that."""
    known = await store.lock_hub(connection, hub_id)
    in_force = await store.claim_in_force(connection, claim, hub_id, hub_serial, now)
    if in_force is None:
        misuse = await store.misuse_of_claim(connection, claim, now)
        if misuse is not None:
            await _incident(connection, *misuse, now)
        return RefusedError(401, "The claim is unknown, used, expired, or another hub's.")
    if known is None:
        return None
    if known.access is Access.SUSPENDED:
        return RefusedError(403, "This hub is suspended: a technician has to let it in again first.")
    if changes_hands(known, hub_serial, in_force):
        await _incident(connection, hub_id, IncidentKind.ANOTHER_COMPUTER, now)
        reason = f"This id belongs to another computer, which is {known.access.value}: make a claim with --serial."
        return RefusedError(409, reason)
    return None


def changes_hands(known: HubRecord, hub_serial: str | None, claim: ClaimInForce) -> bool:
    """Whether a hub's id would go from a computer that is out of service to another one without anybody's word for it.

    The word is a claim that names the new computer. Pure.
    """
    if known.access not in (Access.RETIRED, Access.WIPED) or known.hub_serial == hub_serial:
        return False
    return claim.hub_serial is None


async def _incident(connection: Connection, hub_id: str, kind: IncidentKind, now: datetime) -> None:
    times = await store.add_incident(connection, hub_id, kind, now)
    LOG.warning("incident hub=%s kind=%s times=%s", hub_id, kind.value, times)


async def _supersede(connection: Connection, hub_id: str, issued: datetime, now: datetime) -> None:
    for serial in await store.revoke_certificates(connection, hub_id, issued, RevokedFor.SUPERSEDED, now):
        await store.add_deed(connection, hub_id, "certificate_superseded", hub_id, serial)


def _read(csr_der: bytes, hub_id: str) -> HubRequest:
    try:
        return hub_request(csr_der, hub_id)
    except RequestError as wrong:
        raise RefusedError(400, str(wrong)) from wrong


async def _signed(issuer: Issued, make: Callable[[], Made]) -> Made:
    """What `make` makes with the issuer's key. A token takes its time, which the others need not wait for, and may be
    away, or hang: whoever asked tries again."""
    if not isinstance(issuer.key, TokenKey):
        return make()
    try:
        async with asyncio.timeout(TOKEN_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(_TOKEN_THREAD, make)
    except (TokenError, TimeoutError) as cause:
        LOG.error("token_unavailable why=%s", cause.why if isinstance(cause, TokenError) else "It does not answer.")
        raise RefusedError(503, "The issuing authority cannot sign now. Try again in a moment.") from cause
