"""A hub in a bedroom with its page, a real broker, and a cloud that stores and tells."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.agent.test_agent_process import CA, keep_plan, prepare
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.readings import HUB, PLAN
from tests.support.storing_cloud import Peer, StoringCloud, at_broker

from bedside_profiles.wire.alarm import Alarm, AlarmState
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.topics import DownLane


@dataclass
class Bedroom:
    """A hub with its page at `port`, its cloud, and a way to tell the hub something of alerts of one condition."""

    condition: str
    state: Path
    port: int
    cloud: StoringCloud
    peer: Peer
    version: int = 0

    def press(self, path: str) -> tuple[int, str]:
        """Status and body."""
        return self._ask("POST", path)

    def page(self) -> str:
        """As it is now."""
        return self._ask("GET", "/")[1]

    async def until_page(self, text: str) -> None:
        """Wait until the page says so."""
        async with asyncio.timeout(20):
            while text not in await asyncio.to_thread(self.page):
                await asyncio.sleep(0.1)

    async def tell(self, stage: AlertStage, episode: str | None = None) -> None:
        """What became of the alert."""
        self.version += 1
        notice = AlertNotice(SCHEMA_VERSION, HUB, PLAN, self.condition, stage, self.version, 1_790_000_000_000, episode)
        await self.peer.down(DownLane.ALERTS, encode(notice))

    def alarms(self) -> list[Alarm]:
        """Each that came to the cloud, once."""
        found = {
            (batch.header.store_id, one.seq): one
            for batch in self.cloud.batches
            for one in batch.alarms
            if one.condition == self.condition
        }
        return list(found.values())

    async def until_alarms(self, *states: AlarmState) -> None:
        """Wait until the cloud has exactly these."""
        await self.cloud.until(lambda: [one.state for one in self.alarms()] == list(states))

    def _ask(self, method: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@asynccontextmanager
async def bedroom_for(condition: str, folder: Path) -> AsyncIterator[Bedroom]:
    """The hub itself is started by the test: it has a plan, and its page at a free port."""
    require_mosquitto()
    broker, state, port = Mosquitto(folder / "broker", CA), folder / "state", free_port()
    broker.start()
    await asyncio.to_thread(prepare, state, broker.port, folder / "nonin")
    settings = state / "hub.toml"
    settings.write_text(f'homepage = "127.0.0.1:{port}"\nreconnect_spread_seconds = 1\n{settings.read_text()}')
    await keep_plan(state)
    cloud = StoringCloud(HUB, tells_time=True)
    try:
        async with at_broker(cloud, broker.port, CA, folder / "cloud") as peer:
            yield Bedroom(condition, state, port, cloud, peer)
    finally:
        broker.stop()
