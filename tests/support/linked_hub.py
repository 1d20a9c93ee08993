"""Store, keeper, sender and link as the agent wires them, in the test's process, at a broker with mutual TLS."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support import certificates
from tests.support.clock import MachineClock
from tests.support.readings import HUB, reading

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.plan import Authority as Trusted
from bedside_agent.buffer.store import Store
from bedside_agent.uplink.backoff import Backoff
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.inbox import Handlers
from bedside_agent.uplink.link import Broker, Link
from bedside_agent.uplink.route import Route
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.wire.alert import AlertNotice
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.status import Status
from bedside_profiles.wire.topics import DownLane

LIMITS = Limits(batch_bytes=2048, window_bytes=4096, receipt_timeout_ms=300)


class LinkedHub:
    """One opening of the store, and its link."""

    def __init__(self, store: Store, port: int, identity: Identity, root_der: bytes) -> None:
        clock = MachineClock()
        self.store = store
        self.keeper = AlarmKeeper(store, clock, Trusted(HUB, root_der), silence_ms=600_000)
        self.sender = Sender(store, clock, HUB, LIMITS)
        self.refused: list[tuple[DownLane, str]] = []
        self.alerts: list[AlertNotice] = []
        self.settled = asyncio.Event()
        self._taken: list[asyncio.Future[None]] = []
        store.committed = self.sender.wake
        self.link = Link(
            Broker(Route("localhost", port), identity.tls_context),
            HUB,
            self.sender,
            Handlers(
                receipt=self._receipt,
                care_plan=self._plan,
                command=self._plan,
                alert=self.alerts.append,
                refused=lambda lane, reason: self.refused.append((lane, reason)),
            ),
            lambda state, session: Status(SCHEMA_VERSION, HUB, state, session),
            clock,
            random.Random(1),
            status_seconds=3600,
            backoff=Backoff(spread_seconds=0.5, most_seconds=2.0),
        )

    def take(self, count: int) -> None:
        for _ in range(count):
            self._taken.append(self.store.append_readings([reading()])[1])

    async def until_settled(self) -> None:
        """Until all that was taken is committed, and a receipt covers it."""
        async with asyncio.timeout(60):
            await asyncio.gather(*self._taken)
            while any(self.store.waiting().values()):
                self.settled.clear()
                await self.settled.wait()

    def _receipt(self, receipt: Receipt) -> None:
        self.sender.receive(receipt)
        self.settled.set()

    async def _plan(self, document: SignedDocument) -> None:
        self.link.reply(await self.keeper.offer(document))


@asynccontextmanager
async def linked_hub(directory: Path, port: int, authority: certificates.Authority) -> AsyncIterator[LinkedHub]:
    """A hub with that authority's certificate whose store is kept below `directory`; its link runs until the end."""
    authority.write(directory / "identity", authority.leaf(HUB))
    store = await Store.open(directory / "buffer.db", MachineClock(), commit_window_ms=5)
    hub = LinkedHub(store, port, Identity(directory / "identity"), authority.root.der)
    running_link = asyncio.create_task(hub.link.run())
    try:
        yield hub
    finally:
        running_link.cancel()
        await asyncio.gather(running_link, return_exceptions=True)
        await store.close()
