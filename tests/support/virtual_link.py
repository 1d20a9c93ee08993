"""The hub's link in a time that the test owns: a network that comes and goes, and a broker that loses what it took.

For tests under `looptime`. What would wait for another thread is done at once, or the loop's time would run ahead.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from tests.support.clock import BOOT, NOON_MS
from tests.support.readings import HUB
from tests.support.storing_cloud import StoringCloud

from bedside_agent.buffer.store import Store
from bedside_agent.clock import Instant
from bedside_agent.uplink.backoff import Backoff
from bedside_agent.uplink.connection import ConnectionFailedError, Message
from bedside_agent.uplink.inbox import Handlers
from bedside_agent.uplink.link import Broker, Link
from bedside_agent.uplink.route import Route
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.status import Status
from bedside_profiles.wire.topics import DownLane, UpLane, parse_topic, topic

P = ParamSpec("P")
T = TypeVar("T")


class AtOnce(ThreadPoolExecutor):
    """Does what it is given before it returns."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class LoopClock:
    """The hub's clock, counted by the loop."""

    def now(self) -> Instant:
        ms = round(asyncio.get_running_loop().time() * 1000)
        return Instant(NOON_MS + ms, 100_000 + ms, BOOT, ClockQuality.SYNCED)

    @property
    def knows_time(self) -> bool:
        return True

    def timed(self, item: T) -> T:
        return item


@dataclass
class Network:
    """Between hub and cloud. `loss` is the share of messages, each way, that an end acknowledged and nobody got."""

    cloud: StoringCloud
    loss: float = 0.0
    latency_seconds: float = 0.1
    heard: list[tuple[UpLane, bytes]] = field(default_factory=list)
    lost: int = 0
    attempts: list[float] = field(default_factory=list)
    """When an attempt was made, in the loop's seconds."""
    drops_at_once: bool = False
    """Whether it lets every hub in and closes the connection before it was of any use."""
    connections: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(7))
    _is_up: bool = True
    _links: set["VirtualConnection"] = field(default_factory=set)

    def up(self) -> None:
        """Connections can be made."""
        self._is_up = True

    def down(self) -> None:
        """Every connection ends, and none can be made."""
        self._is_up = False
        for link in tuple(self._links):
            link.broken.set()

    async def flap(self, up_seconds: float, down_seconds: float) -> None:
        """Come and go until cancelled."""
        while True:
            self.up()
            await asyncio.sleep(up_seconds)
            self.down()
            await asyncio.sleep(down_seconds)

    def loses(self) -> bool:
        """Whether this message is lost."""
        lost = self._chance.random() < self.loss
        self.lost += lost
        return lost

    @asynccontextmanager
    async def connected(
        self, _route: Route, _tls: object, _client_id: str, *, will: Message, subscribe: Sequence[str]
    ) -> AsyncIterator["VirtualConnection"]:
        """As `bedside_agent.uplink.connection.connected`."""
        self.attempts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3 * self.latency_seconds)
        if not self._is_up:
            raise ConnectionFailedError("no network")
        self.connections += 1
        link = VirtualConnection(self)
        self._links.add(link)
        if self.drops_at_once:
            link.broken.set()
        try:
            yield link
        finally:
            self._links.discard(link)


class VirtualConnection:
    """As `bedside_agent.uplink.connection.Connection`."""

    def __init__(self, network: Network) -> None:
        self.broken = asyncio.Event()
        self._network = network
        self._down: asyncio.Queue[Message] = asyncio.Queue()

    async def publish(self, message: Message, *, urgent: bool = False) -> None:
        network = self._network
        await self._or_broken(asyncio.sleep(network.latency_seconds))
        if not network.loses():
            hub_id, lane = parse_topic(message.topic)
            assert isinstance(lane, UpLane)
            network.heard.append((lane, message.body))
            for receipt in network.cloud.hear(lane, message.body):
                if not network.loses():
                    self._down.put_nowait(Message(topic(hub_id, DownLane.RECEIPTS), encode(receipt)))
        await self._or_broken(asyncio.sleep(network.latency_seconds))

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            yield await self._or_broken(self._down.get())

    async def _or_broken(self, work: Any) -> Any:
        task, broken = asyncio.ensure_future(work), asyncio.ensure_future(self.broken.wait())
        try:
            await asyncio.wait((task, broken), return_when=asyncio.FIRST_COMPLETED)
            if self.broken.is_set():
                raise ConnectionFailedError("the connection is gone")
            return task.result()
        finally:
            task.cancel()
            broken.cancel()


@asynccontextmanager
async def virtual_hub(path: Path, network: Network) -> AsyncIterator[tuple[Store, Link]]:
    """One boot of a hub: what the agent joins, and nothing else."""
    clock = LoopClock()
    store = await Store.open(path, clock)
    sender = Sender(store, clock, HUB, Limits())
    store.committed = sender.wake

    async def nothing(_document: object) -> None:
        return

    link = Link(
        Broker(Route("broker", 8883), lambda: None),
        HUB,
        sender,
        Handlers(lambda receipt: (sender.receive(receipt), None)[1], nothing, nothing, print, print),
        lambda state, session: Status(SCHEMA_VERSION, HUB, state, session),
        clock,
        random.Random(3),
        status_seconds=20,
        backoff=Backoff(),
    )
    running = asyncio.create_task(link.run())
    try:
        yield store, link
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other thread: the store's work, and what the link asks of one, is done where it is asked for."""
    monkeypatch.setattr("bedside_agent.buffer.store.ThreadPoolExecutor", AtOnce)

    async def to_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)

    monkeypatch.setattr("bedside_agent.uplink.link.asyncio.to_thread", to_thread)
