"""A link that swallows everything and says nothing, as a router that forgot the connection does.

With the hub's own limits this is measured by `make bench NAME=hub.half_open`; here they are shorter.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.linked_hub import LinkedHub, linked_hub
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.network import Proxy, proxied
from tests.support.readings import HUB, alarm
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.uplink import connection
from bedside_profiles.wire.topics import UpLane

pytestmark = pytest.mark.mosquitto

CA = certificates.Authority()
NEVER_SECONDS = 3600.0
HubOnALink = tuple[LinkedHub, Proxy, StoringCloud]


@pytest.fixture
async def linked(tmp_path: Path) -> AsyncIterator[HubOnALink]:
    require_mosquitto()
    broker, cloud = Mosquitto(tmp_path / "broker", CA), StoringCloud(HUB)
    broker.start()
    try:
        async with (
            at_broker(cloud, broker.port, CA, tmp_path / "cloud"),
            proxied(broker.port) as proxy,
            linked_hub(tmp_path / "hub", proxy.port, CA) as hub,
        ):
            await cloud.until(lambda: bool(cloud.statuses))
            yield hub, proxy, cloud
    finally:
        broker.stop()


def test_an_alarm_gives_a_silent_link_up_sooner_than_readings_do() -> None:
    assert connection.URGENT_SECONDS <= 10
    assert connection.URGENT_SECONDS < connection.PUBLISH_SECONDS <= 30


async def test_an_alarm_leaves_a_link_that_swallows_it(linked: HubOnALink, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, proxy, cloud = linked
    monkeypatch.setattr(connection, "URGENT_SECONDS", 0.5)
    monkeypatch.setattr(connection, "PUBLISH_SECONDS", NEVER_SECONDS)
    proxy.swallow()
    hub.store.append_alarm(alarm())
    await cloud.until(lambda: cloud.count(UpLane.ALARMS) == 1)
    await hub.until_settled()
    assert proxy.accepted == 2


async def test_readings_leave_a_link_that_swallows_them(linked: HubOnALink, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, proxy, cloud = linked
    monkeypatch.setattr(connection, "URGENT_SECONDS", NEVER_SECONDS)
    monkeypatch.setattr(connection, "PUBLISH_SECONDS", 0.5)
    proxy.swallow()
    hub.take(500)
    await cloud.until(lambda: cloud.count(UpLane.READINGS) == 500)
    await hub.until_settled()
    assert proxy.accepted == 2


async def test_an_alarm_behind_readings_that_are_swallowed_does_not_wait_for_their_limit(
    linked: HubOnALink, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, proxy, cloud = linked
    monkeypatch.setattr(connection, "URGENT_SECONDS", 0.5)
    monkeypatch.setattr(connection, "PUBLISH_SECONDS", NEVER_SECONDS)
    proxy.swallow()
    hub.take(500)
    async with asyncio.timeout(60):
        while not hub.sender.in_flight.batches:
            await asyncio.sleep(0.01)
    hub.store.append_alarm(alarm())
    await cloud.until(lambda: cloud.count(UpLane.ALARMS) == 1)
    await hub.until_settled()
