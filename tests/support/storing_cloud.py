"""The cloud's half of the guarantee, in memory: what it holds, and the receipts it gives."""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
from tests.support.certificates import Authority
from tests.support.readings import GENERATION

from bedside_agent.buffer.ranges import of_sequences
from bedside_agent.uplink.identity import Identity
from bedside_profiles.errors import WireError
from bedside_profiles.wire.batch import Batch, decode_batch
from bedside_profiles.wire.command import Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.receipt import Receipt, UndecodableBody
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import SEQUENCED, DownLane, UpLane, parse_topic, topic

WAIT_SECONDS = 20.0


@dataclass
class StoringCloud:
    """`answers` False: it stores and says nothing. `stores` False: what comes is lost. `cannot_read` picks bodies.

    `tells_time`: as the cloud's ingest, else a hub on a machine without time service waits before it sends.
    """

    hub_id: str
    generation: str = GENERATION
    answers: bool = True
    stores: bool = True
    tells_time: bool = False
    cannot_read: Callable[[Batch], bool] = lambda batch: False
    held: dict[tuple[str, UpLane], set[int]] = field(default_factory=lambda: defaultdict(set))
    batches: list[Batch] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, lane: UpLane, body: bytes) -> list[Receipt]:
        """Take one message; the receipts that answer it."""
        self.changed.set()
        if lane is UpLane.STATUS:
            status = decode(Status, body)
            self.statuses.append(status)
            time_told = [self._time_for(status)] if self.tells_time and status.state is HubState.ONLINE else []
            return [*time_told, *(self.receipt(*key) for key in tuple(self.held))] if self.answers else []
        if lane is UpLane.REPLIES:
            self.replies.append(decode(Reply, body))
            return []
        assert lane in SEQUENCED
        try:
            batch = decode_batch(body)
            readable = not self.cannot_read(batch)
        except WireError:
            readable = False
        if not readable:
            unread = UndecodableBody(hashlib.sha256(body).hexdigest(), "cannot be read")
            return [Receipt(SCHEMA_VERSION, self.hub_id, self.generation, lane, undecodable=(unread,))]
        self.batches.append(batch)
        if not self.stores:
            return []
        key = (batch.header.store_id, lane)
        for items in (batch.readings, batch.alarms, batch.events, batch.waveforms):
            self.held[key] |= {item.seq for item in items}
        for gap in batch.gaps:
            self.held[key] |= set(range(gap.first_seq, gap.last_seq + 1))
        return [self.receipt(*key)] if self.answers else []

    def _time_for(self, status: Status) -> Receipt:
        now_ms = time.time_ns() // 1_000_000
        return Receipt(
            *(SCHEMA_VERSION, self.hub_id, self.generation, UpLane.READINGS),
            cloud_ms=now_ms,
            asked_monotonic_ms=status.monotonic_ms,
        )

    def receipt(self, store_id: str, lane: UpLane) -> Receipt:
        """All that it holds of one lane of one store."""
        stored = of_sequences(self.held[store_id, lane])
        return Receipt(SCHEMA_VERSION, self.hub_id, self.generation, lane, store_id, stored)

    def count(self, lane: UpLane) -> int:
        """Items of a lane, over all stores."""
        return sum(len(held) for (_, of_lane), held in self.held.items() if of_lane is lane)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that came makes it true."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Mailbag:
    """What was published and not yet carried to the broker."""

    _letters: list[tuple[UpLane, bytes, Callable[[], None]]] = field(default_factory=list)

    def publish(self, lane: UpLane, body: bytes, acknowledged: Callable[[], None]) -> None:
        self._letters.append((lane, body, acknowledged))

    def carried(self) -> list[tuple[UpLane, bytes]]:
        """What was published since the last look; the broker has not acknowledged it, and never will."""
        letters, self._letters = self._letters, []
        return [(lane, body) for lane, body, _ in letters]

    def empty(self) -> list[tuple[UpLane, bytes]]:
        """The broker takes and acknowledges everything; what it was."""
        letters, self._letters = self._letters, []
        for _, _, acknowledged in letters:
            acknowledged()
        return [(lane, body) for lane, body, _ in letters]


@dataclass
class Peer:
    """A client of the broker with the cloud's certificate."""

    client: aiomqtt.Client
    cloud: StoringCloud

    async def down(self, lane: DownLane, body: bytes) -> None:
        """Send something to the hub."""
        await self.client.publish(topic(self.cloud.hub_id, lane), body, qos=1)

    async def serve(self, ready: asyncio.Event) -> None:
        await self.client.subscribe([(topic(self.cloud.hub_id, lane), 1) for lane in UpLane])
        ready.set()
        async for message in self.client.messages:
            _, lane = parse_topic(str(message.topic))
            assert isinstance(lane, UpLane)
            assert isinstance(message.payload, bytes)
            for receipt in self.cloud.hear(lane, message.payload):
                await self.down(DownLane.RECEIPTS, encode(receipt))


@asynccontextmanager
async def at_broker(cloud: StoringCloud, port: int, authority: Authority, directory: Path) -> AsyncIterator[Peer]:
    """The cloud, connected to a broker over mutual TLS."""
    authority.write(directory, authority.leaf("cloud"))
    context = Identity(directory).tls_context()
    async with aiomqtt.Client("localhost", port, tls_context=context, identifier="cloud") as client:
        peer = Peer(client, cloud)
        ready = asyncio.Event()
        serving = asyncio.create_task(peer.serve(ready))
        await ready.wait()
        try:
            yield peer
        finally:
            # Python 3.11's `wait_for`, in the client's publish, may forget a cancellation: ask until it is heeded.
            while not serving.done():
                serving.cancel()
                await asyncio.wait({serving}, timeout=0.5)
