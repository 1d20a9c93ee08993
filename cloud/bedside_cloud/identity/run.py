"""Composition of the identity service: the only place that names its parts."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import BusError
from bedside_cloud.contracts.identity import LOGINS_CHANGED, EndedLogins
from bedside_cloud.contracts.identity_administration import CHANGED, HUB_ENROLLED, HubEnrolled, IdentityChanged
from bedside_cloud.contracts.message import Message
from bedside_cloud.database.pool import Database, unavailable
from bedside_cloud.engines.certificates.authority import derived_key
from bedside_cloud.identity import store
from bedside_cloud.identity.callout import Denied, Granted
from bedside_cloud.identity.connections import DISCONNECTS, Connections, oversized_sender
from bedside_cloud.identity.doorkeeper import Doorkeeper, note
from bedside_cloud.identity.endpoints import Endpoints
from bedside_cloud.identity.enrolment import Enrolment
from bedside_cloud.identity.people import People
from bedside_cloud.identity.snapshot import HubEntry, Snapshot, Snapshots
from bedside_cloud.identity.tokens import Tokens
from bedside_cloud.readiness import announce_ready
from bedside_cloud.settings import ServiceSettings

LOG = logging.getLogger(__name__)

REFRESH_SECONDS = 10.0
"""How often the snapshot is looked for although nobody said that it changed: the bound on a lost hint."""

CONFIRM_SECONDS = 1.0
"""How long a change waits for every replica to decide by it."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def main(settings: ServiceSettings) -> None:
    """Serve until cancelled. The broker's question is answered first, from the last known snapshot: a database that
    is not there yet must not lock the hubs out."""
    if settings.system_bus is None:
        raise ValueError("identity needs its access to the broker's system account")
    opened: asyncio.Future[Database] = asyncio.get_running_loop().create_future()

    async def fetch() -> Snapshot:
        async with asyncio.timeout(2):
            database = await asyncio.shield(opened)
        async with database.transaction() as connection:
            return await store.snapshot(connection)

    async def fetch_one(hub_id: str) -> tuple[int, HubEntry | None]:
        async with asyncio.timeout(2):
            database = await asyncio.shield(opened)
        async with database.transaction() as connection:
            return await store.snapshot_of_hub(connection, hub_id)

    async with Bus.open(settings.bus) as bus, Bus.open(settings.system_bus) as system:
        connections = Connections(system)
        snapshots = Snapshots(settings.folder / "snapshot.json", fetch, fetch_one, connections.cut)
        hinted = asyncio.Event()

        async def noticed(decision: Granted | Denied) -> None:
            adopts = isinstance(decision, Granted) and decision.adopts is not None
            if adopts or (isinstance(decision, Denied) and decision.replaced is not None):
                async with asyncio.timeout(2):
                    database = await asyncio.shield(opened)
                change = await note(database, decision, utc_now())
                if change is not None:
                    await bus.publish(CHANGED, change)

        keeper = Doorkeeper(snapshots, settings.secrets["bus.callout"].reveal(), utc_now, noticed)

        async def on_changed(body: bytes) -> None:
            try:
                await snapshots.refresh_hub(IdentityChanged.model_validate_json(body).hub_id)
            except (*unavailable, TimeoutError):
                hinted.set()
                raise

        # Before the first answer: who lets hubs in is asked to confirm what changed.
        await bus.confirm(CHANGED, on_changed)
        await keeper.attend(bus)
        async with Database.open(settings.database, (Path(__file__).parent / "schema",)) as database:
            opened.set_result(database)
            await snapshots.refresh()

            async def changed(change: IdentityChanged) -> bool:
                await snapshots.refresh_hub(change.hub_id)
                return await everywhere(CHANGED, change)

            async def ended(news: EndedLogins) -> bool:
                return await everywhere(LOGINS_CHANGED, news)

            async def everywhere(subject: str, news: Message) -> bool:
                try:
                    listeners = await connections.listeners(subject)
                except BusError as cause:
                    LOG.warning("listeners_not_counted cause=%s", cause)
                    await bus.publish(subject, news)
                    return False
                if not listeners:
                    return True
                return listeners == await bus.confirmed_by(
                    subject, news, most=listeners, timeout_seconds=CONFIRM_SECONDS
                )

            async def enrolled(hub_id: str) -> None:
                await bus.publish(HUB_ENROLLED, HubEnrolled(hub_id=hub_id))

            async def on_disconnect(_subject: str, body: bytes) -> None:
                hub_id = oversized_sender(body)
                if hub_id is None:
                    return
                LOG.warning("oversized hub=%s", hub_id)
                try:
                    async with database.transaction() as connection:
                        await store.count_oversized(connection, hub_id)
                except unavailable as cause:
                    LOG.warning("oversized_not_counted hub=%s cause=%s", hub_id, type(cause).__name__)

            await system.subscribe(DISCONNECTS, on_disconnect, queue="identity")
            passphrase = settings.secrets["ca.issuing"].reveal()
            issuing, earlier = settings.certificates.issuing(passphrase), settings.certificates.earlier(passphrase)
            tokens = Tokens(derived_key(settings.secrets["identity.tokens"].reveal()))
            enrolment = Enrolment(database, issuing, earlier, settings.certificates.root(), utc_now, changed, enrolled)
            endpoints = Endpoints(database, utc_now, changed)
            people = People(database, tokens, utc_now, ended)
            await bus.serve((*enrolment.table(), *people.table(), *endpoints.table()))
            announce_ready()
            await _keep_fresh(snapshots, hinted)


async def _keep_fresh(snapshots: Snapshots, hinted: asyncio.Event) -> None:
    while True:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                await hinted.wait()
        except TimeoutError:
            pass
        hinted.clear()
        try:
            await snapshots.refresh()
        except unavailable as cause:
            LOG.warning("snapshot_waits cause=%s", type(cause).__name__)
