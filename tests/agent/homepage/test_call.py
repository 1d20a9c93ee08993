"""\"Call me\": from the patient's finger to the cloud and back, over a restart, and only once."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.agent.test_agent_process import CA, keep_plan, prepare
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.readings import HUB, PLAN
from tests.support.storing_cloud import Peer, StoringCloud, at_broker

from bedside_agent.homepage.call_wish import PATIENT_CALLS
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmState
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.topics import DownLane

pytestmark = pytest.mark.mosquitto


@dataclass
class Bedroom:
    """A hub with its page at `port`, its cloud, and a way to tell the hub something."""

    state: Path
    port: int
    cloud: StoringCloud
    peer: Peer
    version: int = 0

    def press(self, path: str = "/call") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def page(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    async def until_page(self, text: str) -> None:
        async with asyncio.timeout(20):
            while text not in await asyncio.to_thread(self.page):
                await asyncio.sleep(0.1)

    async def tell(self, stage: AlertStage) -> None:
        self.version += 1
        notice = AlertNotice(SCHEMA_VERSION, HUB, PLAN, PATIENT_CALLS, stage, self.version, 1_790_000_000_000)
        await self.peer.down(DownLane.ALERTS, encode(notice))

    def alarms(self) -> list[tuple[AlarmState, Priority]]:
        found = {
            (batch.header.store_id, one.seq): (one.state, one.priority)
            for batch in self.cloud.batches
            for one in batch.alarms
            if one.condition == PATIENT_CALLS
        }
        return list(found.values())

    async def until_alarms(self, *states: AlarmState) -> None:
        await self.cloud.until(lambda: [state for state, _ in self.alarms()] == list(states))


@pytest.fixture
async def bedroom(tmp_path: Path) -> AsyncIterator[Bedroom]:
    require_mosquitto()
    broker, state, port = Mosquitto(tmp_path / "broker", CA), tmp_path / "state", free_port()
    broker.start()
    await asyncio.to_thread(prepare, state, broker.port, tmp_path / "nonin")
    settings = state / "hub.toml"
    settings.write_text(f'homepage = "127.0.0.1:{port}"\nreconnect_spread_seconds = 1\n{settings.read_text()}')
    await keep_plan(state)
    cloud = StoringCloud(HUB, tells_time=True)
    try:
        async with at_broker(cloud, broker.port, CA, tmp_path / "cloud") as peer:
            yield Bedroom(state, port, cloud, peer)
    finally:
        broker.stop()


async def test_a_call_stands_until_a_clinician_has_seen_it(bedroom: Bedroom) -> None:
    async with agent(bedroom.state):
        await until(bedroom.state, lambda report: report["connected_since_ms"] is not None)
        await bedroom.until_page("Call me")
        assert (await asyncio.to_thread(bedroom.press))[0] == 303
        assert (await asyncio.to_thread(bedroom.press))[0] == 303, "again is fine"
        await bedroom.until_alarms(AlarmState.RAISED)
        assert bedroom.alarms() == [(AlarmState.RAISED, Priority.HIGH)]
        await bedroom.until_page("You asked for a call.")
        assert 'action="call' not in await asyncio.to_thread(bedroom.page)
        await bedroom.tell(AlertStage.NOTIFIED)
        await bedroom.until_page("Your care team has been told.")
    async with agent(bedroom.state):
        await until(bedroom.state, lambda report: PATIENT_CALLS in report["alarms"])
        await until(bedroom.state, lambda report: report["connected_since_ms"] is not None)
        await bedroom.until_page("You asked for a call.")
        await bedroom.tell(AlertStage.NOBODY_REACHED)
        await bedroom.until_page("Nobody has answered yet.")
        await bedroom.tell(AlertStage.ACKNOWLEDGED)
        await bedroom.until_alarms(AlarmState.RAISED, AlarmState.CLEARED)
        await bedroom.until_page("Call me")
        assert (await asyncio.to_thread(bedroom.press))[0] == 303
        await bedroom.until_alarms(AlarmState.RAISED, AlarmState.CLEARED, AlarmState.RAISED)


async def test_a_call_does_not_sound_in_the_bedroom_and_needs_a_care_team(bedroom: Bedroom) -> None:
    async with agent(bedroom.state):
        await bedroom.until_page("Call me")
        await asyncio.to_thread(bedroom.press)
        report = await until(bedroom.state, lambda report: PATIENT_CALLS in report["alarms"])
        assert report["faults"] == [PATIENT_CALLS]
    (bedroom.state / "buffer.db").unlink()
    for more in ("-wal", "-shm"):
        (bedroom.state / f"buffer.db{more}").unlink(missing_ok=True)
    async with agent(bedroom.state):
        await bedroom.until_page("not in use")
        assert 'action="call' not in await asyncio.to_thread(bedroom.page)
        status, body = await asyncio.to_thread(bedroom.press)
        assert (status, "cannot see your readings" in body) == (200, True)


SOON = "from bedside_agent.homepage import call_wish; call_wish.AGAIN_SECONDS = 2.0; " + PROGRAM


async def test_a_call_that_nobody_answers_may_be_asked_for_again(bedroom: Bedroom) -> None:
    """A clinician's word may have been lost on its way to the hub: the patient is not left with it."""
    async with agent(bedroom.state, SOON):
        await until(bedroom.state, lambda report: report["connected_since_ms"] is not None)
        await bedroom.until_page("Call me")
        await asyncio.to_thread(bedroom.press)
        await bedroom.until_alarms(AlarmState.RAISED)
        await bedroom.until_page("Call me")
        await asyncio.to_thread(bedroom.press)
        await bedroom.until_alarms(AlarmState.RAISED, AlarmState.CLEARED, AlarmState.RAISED)
        await bedroom.until_page("You asked for a call.")
