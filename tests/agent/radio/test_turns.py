"""More devices than connections: sessions that take turns, over the real link."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import until

from bedside_agent.radio.central import Central, Target
from bedside_agent.radio.session import RadioSession, Timing
from bedside_agent.radio.slots import Slots
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

TIMING = Timing(find_seconds=5, connect_seconds=5, call_seconds=5, disconnect_seconds=2, idle_seconds=0.3)
PRESSURE = {Metric.SYSTOLIC_PRESSURE: 120.0, Metric.DIASTOLIC_PRESSURE: 80.0}
VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}


@pytest.fixture
async def cuffs(air: Air, tmp_path: Path) -> AsyncIterator[list[BloodPressureCuff]]:
    journal = Journal(tmp_path / "cuffs")
    devices = [
        BloodPressureCuff(air, journal, device_id=f"cuff-{place}", address=f"F0:BE:D5:1D:02:0{place}", every_seconds=9)
        for place in range(2)
    ]
    for device in devices:
        await device.start()
    yield devices
    for device in devices:
        await device.stop()
    journal.close()


@pytest.fixture
async def oximeters(air: Air, tmp_path: Path) -> AsyncIterator[list[PulseOximeter]]:
    journal = Journal(tmp_path / "oximeters")
    devices = [
        PulseOximeter(air, journal, device_id=f"oximeter-{place}", address=f"F0:BE:D5:1D:03:0{place}")
        for place in range(2)
    ]
    for device in devices:
        await device.start()
    yield devices
    for device in devices:
        await device.stop()
    journal.close()


@asynccontextmanager
async def running(
    central: Central, devices: Sequence[BloodPressureCuff | PulseOximeter], slots: Slots
) -> AsyncIterator[list[tuple[RadioSession, Recorder, Told]]]:
    made = []
    for seed, device in enumerate(devices):
        target, ear, told = Target(device.profile.service_uuid, address=device.address), Recorder(), Told()
        jitter = random.Random(seed)
        session = RadioSession(target, device.profile, central, ear, told, jitter=jitter, timing=TIMING, slots=slots)
        made.append((session, ear, told))
    tasks = [asyncio.create_task(session.run()) for session, _, _ in made]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_cuff_that_has_said_everything_makes_room_and_comes_back(
    central: Central, cuffs: list[BloodPressureCuff], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.radio.patience.YIELDED_SECONDS", 0.1)
    slots = Slots(1)
    async with running(central, cuffs, slots) as sessions:
        for turn in range(4):
            (first,) = await connected(sessions)
            assert await cuffs[first].emit(PRESSURE, spot=True) is not None
            assert [cuff.connected for cuff in cuffs].count(True) == 1
            await until(lambda first=first: sessions[first][0].link is not LinkState.CONNECTED)  # type: ignore[misc]
            assert sum(len(ear.heard) for _, ear, _ in sessions) == turn + 1
        assert all(ear.heard for _, ear, _ in sessions)
        # To yield is no loss, and to come back no news.
        assert [told.said for _, _, told in sessions] == [["connected"]] * 2


async def connected(sessions: list[tuple[RadioSession, Recorder, Told]]) -> list[int]:
    def those() -> list[int]:
        return [place for place, (session, _, _) in enumerate(sessions) if session.link is LinkState.CONNECTED]

    await until(lambda: bool(those()))
    return those()


async def test_a_cuff_gets_its_turn_beside_oximeters_that_keep_theirs(
    central: Central, cuffs: list[BloodPressureCuff], oximeters: list[PulseOximeter]
) -> None:
    cuffs[0].vanish()
    async with running(central, [*oximeters, cuffs[0]], Slots(2)) as sessions:
        (streaming,) = await connected(sessions)
        left_out = 1 - streaming
        await until(lambda: sessions[left_out][0].link is LinkState.WAITING_FOR_SLOT)
        cuffs[0].reappear()
        await until(lambda: sessions[2][0].link is LinkState.CONNECTED)
        assert await cuffs[0].emit(PRESSURE, spot=True) is not None
        assert await oximeters[streaming].emit(VALUES, spot=False) is not None
        await until(lambda: bool(sessions[2][1].heard) and bool(sessions[streaming][1].heard))
        assert sessions[streaming][2].said == ["connected"]
        assert sessions[left_out][0].link is LinkState.WAITING_FOR_SLOT
        oximeters[streaming].vanish()
        await until(lambda: sessions[left_out][0].link is LinkState.CONNECTED)


async def test_one_that_left_while_it_waited_takes_no_connection(
    central: Central, oximeters: list[PulseOximeter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.radio.bleak_central.FRESH_SECONDS", 0.1)
    impatient = Timing(find_seconds=5, connect_seconds=60, stale_seconds=0.1, again_seconds=0.2)
    monkeypatch.setattr("tests.agent.radio.test_turns.TIMING", impatient)
    async with running(central, oximeters, Slots(1)) as sessions:
        (streaming,) = await connected(sessions)
        left_out = 1 - streaming
        await until(lambda: sessions[left_out][0].link is LinkState.WAITING_FOR_SLOT)
        oximeters[left_out].vanish()
        await asyncio.sleep(0.2)
        await oximeters[streaming].drop()
        await until(lambda: sessions[left_out][0].link is LinkState.SEARCHING)
        await until(lambda: sessions[streaming][0].link is LinkState.CONNECTED)
