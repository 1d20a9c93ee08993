"""No broker's word is proof of storage: whatever it acknowledges, what no receipt covers is sent again, and once."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.hostile_broker import Manner, hostile_broker
from tests.support.linked_hub import LinkedHub, linked_hub
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.network import proxied
from tests.support.readings import HUB, alarm, event, waveform
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.buffer.ranges import of_sequences
from bedside_profiles.wire.topics import UpLane

pytestmark = pytest.mark.mosquitto

CA = certificates.Authority()
PATIENCE_SECONDS = 20.0
READINGS, ALARMS, EVENTS, WAVEFORMS = 300, 3, 2, 20


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real one, not yet started."""
    require_mosquitto()
    mosquitto = Mosquitto(tmp_path / "broker", CA)
    yield mosquitto
    mosquitto.stop()


def make(hub: LinkedHub) -> None:
    """What the hub commits in a busy minute."""
    hub.take(READINGS)
    for _ in range(ALARMS):
        hub.store.append_alarm(alarm())
    for _ in range(EVENTS):
        hub.store.append_event(event())
    for _ in range(WAVEFORMS):
        hub.store.append_waveform(waveform())


def everything_waits(hub: LinkedHub, times: int = 1) -> bool:
    made = {
        UpLane.ALARMS: ALARMS,
        UpLane.READINGS: READINGS,
        UpLane.EVENTS: EVENTS,
        UpLane.WAVEFORMS: WAVEFORMS,
    }
    return hub.store.waiting() == {lane: times * count for lane, count in made.items()}


def is_all_that_was_made(cloud: StoringCloud, hub: LinkedHub, times: int = 1) -> bool:
    return {lane: of_sequences(held) for (_, lane), held in cloud.held.items()} == {
        UpLane.ALARMS: ((1, times * ALARMS),),
        UpLane.READINGS: ((1, times * READINGS),),
        UpLane.EVENTS: ((1, times * EVENTS),),
        UpLane.WAVEFORMS: ((1, times * WAVEFORMS),),
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("manner", Manner)
async def test_what_a_broker_acknowledged_and_never_forwarded_is_sent_again(
    tmp_path: Path, broker: Mosquitto, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.uplink.connection.PUBLISH_SECONDS", 0.5)
    monkeypatch.setattr("bedside_agent.uplink.connection.URGENT_SECONDS", 0.5)
    cloud = StoringCloud(HUB)
    async with linked_hub(tmp_path / "hub", broker.port, CA) as hub:
        async with hostile_broker(tmp_path / "hostile", CA, manner, broker.port) as hostile:
            make(hub)
            # Far more than it would take to carry everything once.
            silent = manner in (Manner.IS_SILENT, Manner.ACKNOWLEDGES_BEFORE)
            await until(lambda: hostile.connections >= 3 if silent else hostile.published >= 30)
            await until(lambda: everything_waits(hub))
        broker.start()
        async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"):
            await hub.until_settled()
            assert is_all_that_was_made(cloud, hub)


async def test_a_broker_killed_with_what_it_acknowledged_and_did_not_forward_loses_nothing(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """Mosquitto takes everything; the cloud's side of it stands still; then Mosquitto is killed, memory and all."""
    broker.start()
    cloud = StoringCloud(HUB)
    async with (
        proxied(broker.port) as proxy,
        linked_hub(tmp_path / "hub", broker.port, CA) as hub,
    ):
        for times in (1, 2):
            async with at_broker(cloud, proxy.port, CA, tmp_path / "cloud"):
                await until(lambda: hub.link.health.connected_since_ms is not None)
                proxy.stall()
                make(hub)
                await until(lambda: everything_waits(hub))
                # Acknowledged: a batch is waited for only since the broker has it.
                await until(lambda: any(one.due_ms is not None for one in hub.sender.in_flight.batches))
                assert everything_waits(hub)
                broker.kill()
                proxy.restore()
                proxy.reset()
            broker.start()
            async with at_broker(cloud, proxy.port, CA, tmp_path / "cloud"):
                await hub.until_settled()
                assert is_all_that_was_made(cloud, hub, times)
