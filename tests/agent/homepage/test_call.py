"""\"Call me\": from the patient's finger to the cloud and back, over a restart, and only once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.bedroom import Bedroom, bedroom_for

from bedside_agent.homepage.call_wish import PATIENT_CALLS
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmState
from bedside_profiles.wire.alert import AlertStage

pytestmark = pytest.mark.mosquitto


@pytest.fixture
async def bedroom(tmp_path: Path) -> AsyncIterator[Bedroom]:
    async with bedroom_for(PATIENT_CALLS, tmp_path) as room:
        yield room


async def test_a_call_stands_until_a_clinician_has_seen_it(bedroom: Bedroom) -> None:
    async with agent(bedroom.state):
        await until(bedroom.state, lambda report: report["connected_since_ms"] is not None)
        await bedroom.until_page("Call me")
        assert (await asyncio.to_thread(bedroom.press, "/call"))[0] == 303
        assert (await asyncio.to_thread(bedroom.press, "/call"))[0] == 303, "again is fine"
        await bedroom.until_alarms(AlarmState.RAISED)
        assert [(one.state, one.priority) for one in bedroom.alarms()] == [(AlarmState.RAISED, Priority.HIGH)]
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
        assert (await asyncio.to_thread(bedroom.press, "/call"))[0] == 303
        await bedroom.until_alarms(AlarmState.RAISED, AlarmState.CLEARED, AlarmState.RAISED)


async def test_a_call_does_not_sound_in_the_bedroom_and_needs_a_care_team(bedroom: Bedroom) -> None:
    async with agent(bedroom.state):
        await bedroom.until_page("Call me")
        await asyncio.to_thread(bedroom.press, "/call")
        report = await until(bedroom.state, lambda report: PATIENT_CALLS in report["alarms"])
        assert report["faults"] == [PATIENT_CALLS]
    (bedroom.state / "buffer.db").unlink()
    for more in ("-wal", "-shm"):
        (bedroom.state / f"buffer.db{more}").unlink(missing_ok=True)
    async with agent(bedroom.state):
        await bedroom.until_page("not in use")
        assert 'action="call' not in await asyncio.to_thread(bedroom.page)
        status, body = await asyncio.to_thread(bedroom.press, "/call")
        assert (status, "cannot see your readings" in body) == (200, True)


SOON = "from bedside_agent.homepage import call_wish; call_wish.AGAIN_SECONDS = 2.0; " + PROGRAM


async def test_a_call_that_nobody_answers_may_be_asked_for_again(bedroom: Bedroom) -> None:
    """A clinician's word may have been lost on its way to the hub: the patient is not left with it."""
    async with agent(bedroom.state, SOON):
        await until(bedroom.state, lambda report: report["connected_since_ms"] is not None)
        await bedroom.until_page("Call me")
        await asyncio.to_thread(bedroom.press, "/call")
        await bedroom.until_alarms(AlarmState.RAISED)
        await bedroom.until_page("Call me")
        await asyncio.to_thread(bedroom.press, "/call")
        await bedroom.until_alarms(AlarmState.RAISED, AlarmState.CLEARED, AlarmState.RAISED)
        await bedroom.until_page("You asked for a call.")
