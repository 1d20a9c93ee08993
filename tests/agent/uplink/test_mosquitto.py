"""The hub's uplink against a real Mosquitto with mutual TLS: publish, receipts, last will, and every kind of loss."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.linked_hub import linked_hub
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.network import proxied
from tests.support.readings import GENERATION, HUB, alarm, plan
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.uplink.connection import ConnectionFailedError, Message, connected
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.route import Route
from bedside_profiles.wire.command import Outcome
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.status import HubState
from bedside_profiles.wire.topics import DownLane, UpLane, topic

pytestmark = pytest.mark.mosquitto

CA = certificates.Authority()
REGISTRY = CA.signer()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    require_mosquitto()
    mosquitto = Mosquitto(tmp_path / "broker", CA)
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


async def test_what_was_published_is_settled_by_receipts(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    async with (
        at_broker(cloud, broker.port, CA, tmp_path / "cloud"),
        linked_hub(tmp_path / "hub", broker.port, CA) as hub,
    ):
        hub.take(2000)
        hub.store.append_alarm(alarm())
        await cloud.until(lambda: cloud.count(UpLane.READINGS) == 2000)
        await hub.until_settled()
        assert cloud.count(UpLane.ALARMS) == 1
        assert cloud.statuses[0].state is HubState.ONLINE
        assert len(cloud.batches) > 3, "batches are bounded in size"


async def test_a_broker_that_acknowledges_and_forgets_loses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB, stores=False)
    async with (
        at_broker(cloud, broker.port, CA, tmp_path / "cloud"),
        linked_hub(tmp_path / "hub", broker.port, CA) as hub,
    ):
        hub.take(10)
        await cloud.until(lambda: bool(cloud.batches))
        assert hub.store.waiting()[UpLane.READINGS] == 10, "the broker's word is no receipt"
        cloud.stores = True
        await hub.until_settled()
        assert cloud.count(UpLane.READINGS) == 10


async def test_a_broker_that_dies_and_comes_back_is_sent_the_rest(tmp_path: Path, broker: Mosquitto) -> None:
    cloud = StoringCloud(HUB)
    async with linked_hub(tmp_path / "hub", broker.port, CA) as hub:
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
        linked_hub(tmp_path / "hub", proxy.port, CA) as hub,
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
        async with linked_hub(tmp_path / "hub", proxy.port, CA):
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
        linked_hub(tmp_path / "hub", broker.port, CA) as hub,
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
        linked_hub(tmp_path / "hub", broker.port, CA) as hub,
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
            Route("localhost", broker.port), Identity(tmp_path / "identity").tls_context(), HUB, will=will, subscribe=[]
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
            async with connected(Route("localhost", mosquitto.port), tls, HUB, will=will, subscribe=[]):
                pytest.fail("it was spoken to")
    finally:
        mosquitto.stop()
