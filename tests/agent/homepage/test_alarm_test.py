"""\"Test the alarm\": the whole way to the cloud and back as a test, and never in the way of an alarm in earnest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.agent.alarms.test_keeper import Hub, hub
from tests.support.agent_process import agent, until
from tests.support.bedroom import bedroom_for
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import EPISODE, HUB, PLAN, plan

from bedside_agent.alarms.keeper import ALARM_TEST
from bedside_agent.homepage.alarm_test import LONGEST_MS, TOLD_MS, AlarmTest, TestStage
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmState
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION


class Trial:
    """A test over real rules and a real buffer; `noted` is what it would write down."""

    def __init__(self, one: Hub) -> None:
        self.hub = one
        self.noted: list[str] = []
        self.test = AlarmTest(one.keeper, one.clock, self.noted.append)

    def stage(self) -> TestStage | None:
        return self.test.stage

    def wait(self, milliseconds: int = 1000) -> list[str]:
        self.hub.clock.advance(seconds=milliseconds / 1000)
        self.test.look()
        return self.hub.wait(0)

    def hear(self, stage: AlertStage, episode: str | None = None) -> None:
        standing = [one.episode for one in self.hub.keeper.standing() if one.said.condition == ALARM_TEST]
        about = episode or standing[0]
        self.test.hear(AlertNotice(SCHEMA_VERSION, HUB, PLAN, ALARM_TEST, stage, 1, NOON_MS, about))


@asynccontextmanager
async def trial(folder: Path) -> AsyncIterator[Trial]:
    async with hub(folder, ManualClock()) as one:
        await one.plan(plan())
        yield Trial(one)


async def test_seen_by_a_clinician(tmp_path: Path) -> None:
    async with trial(tmp_path) as one:
        assert one.test.begin()
        assert one.wait() == ["alarm_test raised"]
        assert not one.test.begin(), "one is enough"
        one.hear(AlertStage.ACKNOWLEDGED, EPISODE)
        assert one.stage() is TestStage.SENT, "an earlier test's word is not about this one"
        one.hear(AlertStage.STORED)
        assert one.stage() is TestStage.REACHED
        one.hear(AlertStage.ACKNOWLEDGED)
        assert one.stage() is TestStage.SEEN
        assert one.wait() == ["alarm_test cleared"]
        one.wait(TOLD_MS)
        assert one.stage() is None
        assert one.noted == ["alarm_test_sent", "alarm_test_reached", "alarm_test_seen"]


@pytest.mark.parametrize(("is_stored", "end"), [(True, TestStage.UNSEEN), (False, TestStage.FAILED)])
async def test_nobody_answers(tmp_path: Path, is_stored: bool, end: TestStage) -> None:
    async with trial(tmp_path) as one:
        one.test.begin()
        one.wait()
        if is_stored:
            one.hear(AlertStage.STORED)
        assert one.wait(LONGEST_MS - 2000) == []
        assert one.wait(2000) == ["alarm_test cleared"]
        assert one.stage() is end
        assert one.test.begin(), "it may be tried again"


async def test_an_alarm_in_earnest_ends_it_and_lets_none_begin(tmp_path: Path) -> None:
    async with trial(tmp_path) as one:
        one.test.begin()
        one.wait()
        assert one.hub.hear(70) == ["spo2_low raised"]
        assert one.wait() == ["alarm_test cleared"]
        assert one.stage() is None
        assert not one.test.begin()
        assert one.hub.keeper.active() == ("spo2_low",)


async def test_there_is_none_without_a_care_team_nor_after_a_restart(tmp_path: Path) -> None:
    async with trial(tmp_path) as one:
        one.test.begin()
        one.wait()
        await one.hub.plan(plan(version=2, active=False))
        one.test.look()
        assert one.stage() is None
    async with hub(tmp_path / "other", ManualClock()) as without:
        assert not Trial(without).test.begin()
    async with trial(tmp_path / "third") as one:
        one.test.begin()
        assert one.wait() == ["alarm_test raised"]
    async with hub(tmp_path / "third", ManualClock()) as again:
        assert again.wait(1) == ["alarm_test cleared"]


@pytest.mark.mosquitto
async def test_from_the_finger_to_the_cloud_and_back(tmp_path: Path) -> None:
    async with bedroom_for(ALARM_TEST, tmp_path) as room, agent(room.state):
        await until(room.state, lambda report: report["connected_since_ms"] is not None)
        await room.until_page("Test the alarm")
        assert (await asyncio.to_thread(room.press, "/test"))[0] == 303
        await room.until_alarms(AlarmState.RAISED)
        (raised,) = room.alarms()
        assert (raised.test, raised.priority) == (True, Priority.HIGH)
        await room.until_page("This is a test.")
        assert 'action="test' not in await asyncio.to_thread(room.page)
        await room.tell(AlertStage.STORED, raised.episode)
        await room.until_page("It has reached the hospital")
        await room.tell(AlertStage.ACKNOWLEDGED, raised.episode)
        await room.until_page("The test worked.")
        await room.until_alarms(AlarmState.RAISED, AlarmState.CLEARED)
        report = await until(room.state, lambda report: ALARM_TEST not in report["alarms"])
        assert report["faults"] == []
