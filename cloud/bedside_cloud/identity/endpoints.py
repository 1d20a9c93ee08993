"""What identity answers of hubs, beside enrolment: claims, who is let in, incidents."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from bedside_cloud.bus.actor import present_actor
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import identity_administration
from bedside_cloud.contracts.identity_administration import (
    MAY_BECOME,
    Access,
    ClaimAnswer,
    ClaimRequest,
    HubAccessAnswer,
    HubAccessList,
    HubAccessRequest,
    HubWiped,
    IdentityChanged,
    IncidentKind,
    IncidentList,
    IncidentReport,
    IncidentRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.database.pool import Database
from bedside_cloud.identity import access, store
from bedside_cloud.identity.claims import claim_sha256, new_claim
from bedside_cloud.identity.enrolment import checked_hub_id

LOG = logging.getLogger(__name__)

LONGEST_CLAIM_SECONDS = 90 * 86_400
"""Labels are printed when a box of hubs is packed, and used when a patient needs one."""
LONGEST_REASON = 200


class Endpoints:
    """`changed` is awaited after the commit and before the answer, and tells whether every replica decides by
    it now."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        changed: Callable[[IdentityChanged], Awaitable[bool]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._changed = changed

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of the service."""
        return (
            Endpoint(identity_administration.CLAIM_CREATE, ClaimRequest, self.create_claim),
            Endpoint(identity_administration.HUB_ACCESS, Empty, self.hubs),
            Endpoint(identity_administration.HUB_ACCESS_SET, HubAccessRequest, self.set_access),
            Endpoint(identity_administration.HUB_WIPED, HubWiped, self.wiped),
            Endpoint(identity_administration.INCIDENTS, Empty, self.incidents),
            Endpoint(identity_administration.INCIDENT_REPORT, IncidentReport, self.report_incident),
            Endpoint(identity_administration.INCIDENT_SETTLE, IncidentRequest, self.settle_incident),
        )

    async def create_claim(self, request: ClaimRequest) -> ClaimAnswer:
        hub_id = checked_hub_id(request.hub_id)
        if not 60 <= request.life_seconds <= LONGEST_CLAIM_SECONDS:
            raise RefusedError(400, f"A claim lives 60 to {LONGEST_CLAIM_SECONDS} seconds.")
        now, claim = self._clock(), new_claim()
        expires_at = now + timedelta(seconds=request.life_seconds)
        async with self._database.transaction() as connection:
            sha256 = claim_sha256(claim)
            await store.insert_claim(connection, sha256, hub_id, request.hub_serial, now, expires_at)
            await store.add_deed(connection, present_actor(), "claim_made", hub_id, sha256.hex()[:16])
        return ClaimAnswer(hub_id=hub_id, claim=claim, expires_at_ms=round(expires_at.timestamp() * 1000))

    async def hubs(self, _request: Empty) -> HubAccessList:
        async with self._database.transaction() as connection:
            return HubAccessList(hubs=await store.hubs(connection))

    async def set_access(self, request: HubAccessRequest) -> HubAccessAnswer:
        now = self._clock()
        if len(request.why) > LONGEST_REASON:
            raise RefusedError(400, f"A reason has up to {LONGEST_REASON} signs.")
        async with self._database.transaction() as connection:
            known = await store.lock_hub(connection, request.hub_id)
            if known is None:
                raise RefusedError(404, "No such hub has enrolled.")
            refusal = access.why_not(request.hub_id, known.access, request.access)
            if refusal is not None:
                raise RefusedError(409, refusal)
            # Asked for again, it is only confirmed: the record of deeds tells of steps.
            if known.access is not request.access or request.access is Access.REVOKED:
                await access.move(connection, present_actor(), request.hub_id, request.access, request.why, now)
            version = await store.next_version(connection)
            entries = await store.hubs(connection)
        LOG.info("access hub=%s access=%s", request.hub_id, request.access.value)
        everywhere = await self._changed(IdentityChanged(version=version, hub_id=request.hub_id))
        entry = next(entry for entry in entries if entry.hub_id == request.hub_id)
        return HubAccessAnswer(hub=entry, everywhere=everywhere)

    async def wiped(self, request: HubWiped) -> Empty:
        """A hub that is in service and says so is not shut out by its word: a tech is told."""
        now, version = self._clock(), None
        async with self._database.transaction() as connection:
            known = await store.lock_hub(connection, request.hub_id)
            if known is None or known.access is Access.WIPED:
                return Empty()
            if Access.WIPED in MAY_BECOME[known.access]:
                await access.move(connection, request.hub_id, request.hub_id, Access.WIPED, "", now)
                version = await store.next_version(connection)
            else:
                await store.add_incident(connection, request.hub_id, IncidentKind.WIPED_IN_SERVICE, now)
        LOG.info("wiped hub=%s taken=%s", request.hub_id, version is not None)
        if version is not None:
            await self._changed(IdentityChanged(version=version, hub_id=request.hub_id))
        return Empty()

    async def incidents(self, _request: Empty) -> IncidentList:
        async with self._database.transaction() as connection:
            return IncidentList(incidents=await store.incidents(connection))

    async def report_incident(self, request: IncidentReport) -> Empty:
        async with self._database.transaction() as connection:
            await store.add_incident(connection, request.hub_id, request.kind, self._clock())
        return Empty()

    async def settle_incident(self, request: IncidentRequest) -> IncidentList:
        async with self._database.transaction() as connection:
            settled = await store.settle_incident(connection, request.incident_id, self._clock())
            if settled is None:
                raise RefusedError(404, "No incident is open under that number.")
            hub_id, kind = settled
            await store.add_deed(connection, present_actor(), "incident_settled", hub_id, kind)
            return IncidentList(incidents=await store.incidents(connection))
