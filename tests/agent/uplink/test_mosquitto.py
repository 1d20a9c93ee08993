"""The hub's uplink against a real Mosquitto with mutual TLS: publish, receipts, last will, and every kind of loss."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.clock import MachineClock
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.network import proxied
from tests.support.readings import GENERATION, HUB, alarm, plan, reading
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.plan import Authority as Trusted
from bedside_agent.buffer.store import Store
from bedside_agent.uplink.backoff import Backoff
from bedside_agent.uplink.connection import ConnectionFailedError, Message, connected
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.inbox import Handlers
from bedside_agent.uplink.link import Broker, Link
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.wire.alert import AlertNotice
from bedside_profiles.wire.command import Outcome
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, topic

pytestmark = pytest.mark.mosquitto

CA = certificates.Authority()
REGISTRY = CA.signer()
LIMITS = Limits(batch_bytes=2048, window_bytes=4096, receipt_timeout_ms=300)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    require_mosquitto()
    mosquitto = Mosquitto(tmp_path / "broker", CA)
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


class Hub:
    """Store, keeper and link as the agent wires them."""

    def __init__(self, store: Store, port: int, identity: Identity) -> None:
        clock = MachineClock()
        self.store = store
        self.keeper = AlarmKeeper(store, clock, Trusted(HUB, CA.root.der), silence_ms=600_000)
        self.sender = Sender(store, clock, HUB, LIMITS)
        self.refused: list[tuple[DownLane, str]] = []
        self.alerts: list[AlertNotice] = []
        self.settled = asyncio.Event()
        store.committed = self.sender.wake
        self.link = Link(
            Broker("localhost", port, identity.tls_context),
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
            self.store.append_readings([reading()])

    async def until_settled(self) -> None:
        async with asyncio.timeout(20):
            while any(self.store.waiting().values()):
                self.settled.clear()
                await self.settled.wait()

    def _receipt(self, receipt: Receipt) -> None:
        self.sender.receive(receipt)
        self.settled.set()

    async def _plan(self, document: SignedDocument) -> None:
        self.link.reply(await self.keeper.offer(document))


@asynccontextmanager
async def running(directory: Path, port: int) -> AsyncIterator[Hub]:
    CA.write(directory / "identity", CA.leaf(HUB))
    store = await Store.open(directory / "buffer.db", MachineClock(), commit_window_ms=5)
    hub = Hub(store, port, Identity(directory / "identity"))
    running_link = asyncio.create_task(hub.link.run())
    try:
        yield hub
    finally:
        running_link.cancel()
        await asyncio.gather(running_link, return_exceptions=True)
        await store.close()


async def test_what_was_published_is_settled_by_receipts(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"), running(tmp_path / "hub", broker.port) as hub:
        hub.take(2000)
        hub.store.append_alarm(alarm())
        await cloud.until(lambda: cloud.count(UpLane.READINGS) == 2000)
        await hub.until_settled()
        assert cloud.count(UpLane.ALARMS) == 1
        assert cloud.statuses[0].state is HubState.ONLINE
        assert len(cloud.batches) > 3, "batches are bounded in size"


async def test_a_broker_that_acknowledges_and_forgets_loses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB, stores=False)
    async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"), running(tmp_path / "hub", broker.port) as hub:
        hub.take(10)
        await cloud.until(lambda: bool(cloud.batches))
        assert hub.store.waiting()[UpLane.READINGS] == 10, "the broker's word is no receipt"
        cloud.stores = True
        await hub.until_settled()
        assert cloud.count(UpLane.READINGS) == 10


async def test_a_broker_that_dies_and_comes_back_is_sent_the_rest(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    async with running(tmp_path / "hub", broker.port) as hub:
        async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"):
            hub.take(5)
            await hub.until_settled()
        cloud.answers = False
        broker.kill()
        hub.take(500)
        broker.start()
        async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"):
            cloud.answers = True
            await hub.until_settled()
            assert cloud.count(UpLane.READINGS) == 505


async def test_cut_links_lose_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    async with (
        at_broker(cloud, broker.port, CA, tmp_path / "cloud"),
        proxied(broker.port) as proxy,
        running(tmp_path / "hub", proxy.port) as hub,
    ):
        for before in range(0, 1000, 200):
            hub.take(200)
            await cloud.until(lambda before=before: cloud.count(UpLane.READINGS) > before)  # type: ignore[misc]
            proxy.reset()
        proxy.cut()
        hub.take(100)
        proxy.restore()
        await hub.until_settled()
        assert cloud.count(UpLane.READINGS) == 1100
        assert proxy.accepted >= 6


async def test_the_last_will_says_that_the_hub_is_gone_and_a_clean_stop_says_so_itself(
    tmp_path: Path, broker: Mosquitto
) -> None:
    cloud = StoringCloud(HUB)
    async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"), proxied(broker.port) as proxy:
        async with running(tmp_path / "hub", proxy.port):
            await cloud.until(lambda: len(cloud.statuses) == 1)
            proxy.reset()
            await cloud.until(lambda: len(cloud.statuses) >= 3)
            online, will, again = cloud.statuses[:3]
            states = {(one.state, one.session) for one in (will, again)}
            assert (HubState.OFFLINE, online.session) in states
            assert len({session for _, session in states}) == 2
        await cloud.until(lambda: cloud.statuses[-1].state is HubState.OFFLINE)


async def test_a_plan_comes_down_is_kept_and_answered(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    async with (
        at_broker(cloud, broker.port, CA, tmp_path / "cloud") as peer,
        running(tmp_path / "hub", broker.port) as hub,
    ):
        await cloud.until(lambda: bool(cloud.statuses))
        await peer.down(DownLane.CAREPLAN, encode(REGISTRY.sign(plan(version=2))))
        await cloud.until(lambda: len(cloud.replies) == 1)
        await peer.down(DownLane.CAREPLAN, encode(REGISTRY.sign(plan(version=1))))
        await cloud.until(lambda: len(cloud.replies) == 2)
        assert [reply.outcome for reply in cloud.replies] == [Outcome.APPLIED, Outcome.REFUSED]
        assert hub.keeper.plan == plan(version=2)


async def test_garbage_on_every_down_lane_delays_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    foreign = Receipt(SCHEMA_VERSION, "hub-0002", GENERATION, UpLane.READINGS, "0" * 32, ((1, 9),))
    forged = encode(CA.leaf("hub-0002").sign(plan()))
    async with (
        at_broker(cloud, broker.port, CA, tmp_path / "cloud") as peer,
        running(tmp_path / "hub", broker.port) as hub,
    ):
        await cloud.until(lambda: bool(cloud.statuses))
        for lane in DownLane:
            for body in (b"", b"\xc1", b"\x80", b"\x91" * 2000, b"\xff" * 200_000, encode(foreign), forged):
                await peer.down(lane, body)
        hub.take(3)
        await cloud.until(lambda: cloud.count(UpLane.READINGS) == 3)
        await hub.until_settled()
        assert hub.keeper.plan is None
        assert cloud.replies == []
        assert {lane for lane, _ in hub.refused} == set(DownLane)
        assert len(cloud.statuses) == 1, "the connection was not lost over it"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops a refused socket unclosed.
async def test_a_stranger_is_not_let_in(tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_agent.uplink.connection.CONNECT_SECONDS", 1)
    stranger = certificates.Authority()
    CA.write(tmp_path / "identity", CA.leaf(HUB))
    foreign = stranger.leaf(HUB)
    (tmp_path / "identity" / "chain.pem").write_bytes(foreign.chain_pem)
    (tmp_path / "identity" / "key.pem").write_bytes(foreign.key_pem)
    will = Message(topic(HUB, UpLane.STATUS), b"")
    with pytest.raises(ConnectionFailedError, match="certificate"):
        async with connected(
            "localhost", broker.port, Identity(tmp_path / "identity").tls_context(), HUB, will=will, subscribe=[]
        ):
            pytest.fail("it was let in")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops a refused socket unclosed.
@pytest.mark.parametrize(("authority", "host"), [(CA, "elsewhere.example"), (certificates.Authority(), "localhost")])
async def test_a_server_of_another_name_or_root_is_not_spoken_to(
    tmp_path: Path, authority: certificates.Authority, host: str
) -> None:
    require_mosquitto()
    mosquitto = Mosquitto(tmp_path / "broker", authority, host)
    mosquitto.start()
    CA.write(tmp_path / "identity", CA.leaf(HUB))
    tls = Identity(tmp_path / "identity").tls_context()
    will = Message(topic(HUB, UpLane.STATUS), b"")
    try:
        with pytest.raises(ConnectionFailedError, match="certificate verify failed"):
            async with connected("localhost", mosquitto.port, tls, HUB, will=will, subscribe=[]):
                pytest.fail("it was spoken to")
    finally:
        mosquitto.stop()
