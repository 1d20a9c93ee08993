"""What a device keeps is fetched once: over a real link into a real store, through cuts and restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.support.collecting_hub import CollectingHub, collecting_hub, kept, values
from tests.support.virtual_radio import CUFF, until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.bluetooth import continuous_glucose, glucose, record_fetching
from bedside_profiles.bluetooth.record_access import Operation, Operator
from bedside_profiles.readings import Metric
from bedside_sim.devices.drifting_clock import DriftingClock
from bedside_sim.devices.glucose_meter import GlucoseMeter
from bedside_sim.devices.glucose_sensor import GlucoseSensor
from bedside_sim.devices.record_keeper import KeeperFaults
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

ENTRY = DeviceEntry("meter", glucose.NAME, address=CUFF)
SENSOR_ENTRY = DeviceEntry("sensor", continuous_glucose.NAME, address=CUFF)
MORNING = datetime(2026, 3, 2, 7, 0)  # noqa: DTZ001 - a device knows no zone


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses that a meter is left alone for, in hundredths."""
    for name, seconds in (("LINGER_SECONDS", 0.1), ("MODEST_PAUSE_SECONDS", 0.2), ("TROUBLED_PAUSE_SECONDS", 0.2)):
        monkeypatch.setattr(record_fetching, name, seconds)


@asynccontextmanager
async def meter_in(
    air: Air, tmp_path: Path, faults: KeeperFaults | None = None, clock: DriftingClock | None = None
) -> AsyncIterator[GlucoseMeter]:
    journal = Journal(tmp_path / "journal")
    meter = GlucoseMeter(air, journal, device_id="meter", address=CUFF, faults=faults, clock=clock)
    await meter.start()
    try:
        yield meter
    finally:
        await meter.stop()
        journal.close()


@asynccontextmanager
async def sensor_in(air: Air, tmp_path: Path, session_start: datetime | None) -> AsyncIterator[GlucoseSensor]:
    journal = Journal(tmp_path / "journal")
    sensor = GlucoseSensor(air, journal, device_id="sensor", address=CUFF, session_start=session_start)
    await sensor.start()
    try:
        yield sensor
    finally:
        await sensor.stop()
        journal.close()


def done(hub: CollectingHub, times: int = 1) -> bool:
    return len(hub.told(NoticeKind.DEVICE_DONE)) >= times


def fill(meter: GlucoseMeter, first: int, count: int) -> list[float]:
    made = [float(first + place) for place in range(count)]
    for place, mg_dl in enumerate(made):
        meter.keep(mg_dl, at=MORNING + timedelta(minutes=first + place))
    return made


async def test_the_first_time_all_records_are_fetched_and_then_only_new_ones(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path) as meter:
        made = fill(meter, 80, 30)
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
        assert meter.keeper.handed_over == 30
        made += fill(meter, 150, 4)
        # Another life of the hub: what it knows is in its store.
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
            # The last one again, to see that it is the same meter, and the four new ones.
            assert meter.keeper.handed_over == 30 + 5
            await until(lambda: done(hub, 2))
            assert meter.keeper.handed_over == 30 + 5 + 1
        assert [request.operator for request in meter.keeper.requests] == [Operator.ALL, Operator.FROM, Operator.FROM]
        assert all(request.operation is Operation.REPORT for request in meter.keeper.requests)
    readings = await kept(store)
    assert values(readings) == made
    assert readings[0].device_time == (MORNING + timedelta(minutes=80)).isoformat()


async def test_a_transfer_that_was_cut_is_asked_for_again_and_nothing_is_kept_twice(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path, KeeperFaults(cut_after=12)) as meter:
        made = fill(meter, 80, 30)
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
            assert len(hub.told(NoticeKind.DEVICE_LOST)) == 1
        assert [request.operator for request in meter.keeper.requests] == [Operator.ALL] * 2
        assert meter.keeper.handed_over == 12 + 30
    assert values(await kept(store)) == made


async def test_a_meter_that_falls_asleep_in_the_middle_of_its_report_tells_it_when_it_wakes(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path) as meter:
        made = fill(meter, 80, 400)
        meter.awake_seconds = 0.1
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: bool(hub.told(NoticeKind.DEVICE_LOST)))
            assert 0 < meter.keeper.handed_over < 400
            meter.awake_seconds = None
            meter.reappear()
            await until(lambda: done(hub))
        assert hub.told(NoticeKind.DEVICE_TROUBLE) == []
    assert sorted(float(value or 0) for value in values(await kept(store))) == made


async def test_records_of_a_meter_without_the_time_are_kept_once_through_a_cut_too(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path, KeeperFaults(cut_after=3)) as meter:
        long_ago = datetime(2000, 1, 1)  # noqa: DTZ001 - a device knows no zone
        for mg_dl in (101.0, 101.0, 101.0, 103.0, 101.0):
            meter.keep(mg_dl, at=long_ago)
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
    readings = await kept(store)
    assert values(readings) == [101.0, 101.0, 101.0, 103.0, 101.0]
    assert {one.device_time for one in readings} == {None}


async def test_a_meter_that_ends_the_link_itself_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_fetching, "LINGER_SECONDS", 60.0)
    monkeypatch.setattr(record_fetching, "MODEST_PAUSE_SECONDS", 1.0)
    air, loop = Air(), asyncio.get_running_loop()
    async with meter_in(air, tmp_path, KeeperFaults(ends_the_link=True)) as meter:
        fill(meter, 80, 3)
        async with collecting_hub(tmp_path / "buffer.db", air, ENTRY) as hub:
            await until(lambda: done(hub))
            began = loop.time()
            await until(lambda: meter.keeper.reports == 2)
            assert loop.time() - began > 1.0
            assert hub.told(NoticeKind.DEVICE_LOST) == []


async def test_no_records_are_no_trouble(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path) as meter, collecting_hub(store, air, ENTRY) as hub:
        await until(lambda: done(hub))
        assert hub.told(NoticeKind.DEVICE_TROUBLE) == []
        made = fill(meter, 90, 2)
        await until(lambda: done(hub, 2))
        assert meter.keeper.handed_over == 2
    assert values(await kept(store)) == made


async def test_a_meter_whose_memory_was_emptied_is_read_from_its_beginning(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path) as meter:
        made = fill(meter, 80, 3)
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
        meter.reset()
        # As many as before and more: only what stands under the last number tells it from the old memory.
        made += fill(meter, 200, 5)
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
        assert [request.operator for request in meter.keeper.requests] == [Operator.ALL, Operator.FROM, Operator.ALL]
    assert sorted(map(str, values(await kept(store)))) == sorted(map(str, made))


async def test_a_meter_that_cannot_choose_hands_over_all_and_the_old_ones_are_dropped(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path, KeeperFaults(only_all=True)) as meter:
        made = fill(meter, 80, 5)
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
            made += fill(meter, 120, 1)
            await until(lambda: done(hub, 2))
            assert meter.keeper.handed_over == 5 + 6
            assert hub.told(NoticeKind.DEVICE_TROUBLE) == []
    assert values(await kept(store)) == made


async def test_a_meter_that_does_not_answer_is_told_to_stop_and_is_trouble_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_fetching, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(record_fetching, "ABORT_SECONDS", 0.2)
    air = Air()
    async with meter_in(air, tmp_path, KeeperFaults(is_silent=True)) as meter:
        fill(meter, 80, 2)
        async with collecting_hub(tmp_path / "buffer.db", air, ENTRY) as hub:
            await until(lambda: done(hub, 2))
            assert [request.operation for request in meter.keeper.requests][:2] == [Operation.REPORT, Operation.ABORT]
            (trouble,) = hub.told(NoticeKind.DEVICE_TROUBLE)
            assert trouble == {"reason": "the device does not answer the request for its records"}
            meter.keeper.faults.is_silent = False
            await until(lambda: meter.keeper.handed_over == 2)


async def test_control_solution_and_a_ketone_are_told_apart_in_the_memory_too(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with meter_in(air, tmp_path) as meter:
        meter.keep(104, control_solution=True, at=MORNING)
        meter.keep(15, meal=6, at=MORNING + timedelta(minutes=1))
        meter.keep(99, at=MORNING + timedelta(minutes=2))
        async with collecting_hub(store, air, ENTRY) as hub:
            await until(lambda: done(hub))
    assert [(one.metric, one.value) for one in await kept(store)] == [(Metric.KETONE, 1.5), (Metric.GLUCOSE, 99.0)]


async def test_what_is_measured_while_connected_is_kept_once(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with sensor_in(air, tmp_path, MORNING) as sensor:
        before = [float(100 + place) for place in range(6)]
        for mg_dl in before:
            sensor.keep(mg_dl)
        async with collecting_hub(store, air, SENSOR_ENTRY) as hub:
            await until(lambda: sensor.keeper.handed_over == 6)
            for mg_dl in (111.0, 112.0):
                while await sensor.emit({Metric.GLUCOSE: mg_dl}, spot=False) is None:
                    await asyncio.sleep(0.01)
            position = "position.sensor"
            await until(lambda: hub.store.state.get(position, b"").startswith(b"40:"))
            await sensor.drop()
            await until(lambda: len(sensor.keeper.requests) == 2)
            sensor.vanish()
        while_away = [float(120 + place) for place in range(3)]
        for mg_dl in while_away:
            sensor.keep(mg_dl)
        sensor.reappear()
        async with collecting_hub(store, air, SENSOR_ENTRY) as hub:
            await until(lambda: hub.store.state[position].startswith(b"55:"))
    readings = await kept(store)
    assert values(readings) == [*before, 111.0, 112.0, *while_away]
    assert readings[-1].device_time == (MORNING + timedelta(minutes=55)).isoformat()


@pytest.mark.parametrize("start", [MORNING, None])
async def test_a_new_sensor_is_read_from_its_beginning(tmp_path: Path, start: datetime | None) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with sensor_in(air, tmp_path, start) as sensor:
        for mg_dl in (100.0, 101.0):
            sensor.keep(mg_dl)
        async with collecting_hub(store, air, SENSOR_ENTRY) as hub:
            await until(lambda: "position.sensor" in hub.store.state)
            first = hub.store.state["position.sensor"]
        sensor.begin_session(None if start is None else start + timedelta(days=10))
        for mg_dl in (100.0, 104.0, 105.0):
            sensor.keep(mg_dl)
        async with collecting_hub(store, air, SENSOR_ENTRY) as hub:
            await until(lambda: hub.store.state["position.sensor"] != first)
    assert sorted(map(str, values(await kept(store)))) == ["100.0", "100.0", "101.0", "104.0", "105.0"]
