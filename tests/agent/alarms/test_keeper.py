"""Alarms over restarts and reboots, with the real store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.clock import ManualClock
from tests.support.readings import HUB, OXIMETER, plan, reading

from bedside_agent.alarms.keeper import MEMORY, PLAN, AlarmKeeper
from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.errors import UntrustedError
from bedside_agent.intake import Intake
from bedside_profiles.readings import Attribution, ClockQuality, Measurement, Metric, Modality, Quality, Reading
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.technical import TechnicalKind, TechnicalRule
from bedside_profiles.wire.alarm import Alarm, AlarmKind, AlarmState
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice
from bedside_profiles.wire.command import Outcome
from bedside_profiles.wire.topics import UpLane

CA = certificates.Authority()
REGISTRY = CA.signer()
SECOND_BOOT = "88888888-8888-4888-8888-888888888888"


class Hub:
    """A store and a keeper on a clock that the test owns."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.keeper = AlarmKeeper(store, clock, Authority(HUB, CA.root.der), silence_ms=600_000)

    async def plan(self, care_plan: CarePlan) -> None:
        assert (await self.keeper.offer(REGISTRY.sign(care_plan))).outcome is Outcome.APPLIED

    def hear(self, value: float, *, after: float = 1, modality: Modality = Modality.CONTINUOUS) -> list[str]:
        now = self.clock.advance(seconds=after)
        readings, _ = self.store.append_readings([reading(value, at=now, modality=modality)])
        return states(self.keeper.observe(readings, now))

    def wait(self, seconds: float) -> list[str]:
        self.clock.advance(seconds=seconds)
        return states(self.keeper.tick())


def states(alarms: tuple[Alarm, ...]) -> list[str]:
    return [f"{alarm.condition} {alarm.state.value}" for alarm in alarms]


@asynccontextmanager
async def hub(directory: Path, clock: ManualClock) -> AsyncIterator[Hub]:
    store = await Store.open(directory / "buffer.db", clock, commit_window_ms=1)
    try:
        yield Hub(store, clock)
    finally:
        await store.close()


async def stored_alarms(store: Store) -> list[Alarm]:
    found: list[object] = []
    for shelf in store.shelves():
        if shelf.lane is UpLane.ALARMS:
            found += await store.fetch(shelf, (1, 1000), 1000)
    return [alarm for alarm in found if isinstance(alarm, Alarm)]


async def test_without_a_plan_nothing_is_raised(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        assert one.hear(40) == []
        assert one.wait(3600) == []


async def test_plan_and_active_alarm_survive_a_restart_without_being_raised_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        assert one.hear(70) == ["spo2_low raised"]
    async with hub(tmp_path, clock) as one:
        assert one.keeper.plan == plan()
        assert one.keeper.active() == ("spo2_low",)
        assert one.hear(70) == []
        assert one.hear(95) == ["spo2_low cleared"]
        await asyncio.sleep(0)
    async with hub(tmp_path, clock) as one:
        alarms = await stored_alarms(one.store)
        assert [alarm.state for alarm in alarms] == [AlarmState.RAISED, AlarmState.CLEARED]
        assert len({alarm.episode for alarm in alarms}) == 1
        assert one.keeper.active() == ()


async def test_an_onset_delay_goes_on_over_a_restart_of_the_agent(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        assert one.hear(85) == []
    async with hub(tmp_path, clock) as one:
        assert one.hear(85, after=9) == []
        assert one.hear(85, after=1) == ["spo2_low raised"]


@pytest.mark.parametrize(
    ("off_seconds", "raised_at_once"),
    [(10, False), (290, True)],
)
async def test_a_spot_checks_deadline_moves_with_the_wall_clock_over_a_reboot(
    tmp_path: Path, off_seconds: float, raised_at_once: bool
) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        assert one.hear(85, modality=Modality.SPOT) == []
    clock.reboot(SECOND_BOOT, off_seconds=off_seconds)
    async with hub(tmp_path, clock) as one:
        assert one.wait(11) == (["spo2_low raised"] if raised_at_once else [])
        assert one.wait(280) == ([] if raised_at_once else ["spo2_low raised"])


async def test_a_reboot_of_unknown_length_fails_open(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        assert one.hear(85, modality=Modality.SPOT) == []
    clock.reboot(SECOND_BOOT, off_seconds=1, quality=ClockQuality.UNSYNCED)
    async with hub(tmp_path, clock) as one:
        assert one.wait(1) == ["spo2_low raised"]


async def test_a_pending_signal_raises_at_its_next_reading_after_a_reboot_of_unknown_length(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        assert one.hear(85) == []
    clock.reboot(SECOND_BOOT, off_seconds=1, quality=ClockQuality.UNSYNCED)
    async with hub(tmp_path, clock) as one:
        assert one.hear(85) == ["spo2_low raised"]


async def test_an_active_alarm_stays_active_over_a_reboot(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        one.hear(70)
    clock.reboot(SECOND_BOOT, off_seconds=3600)
    async with hub(tmp_path, clock) as one:
        assert one.keeper.active() == ("spo2_low",)
        assert one.hear(95) == ["spo2_low cleared"]


async def test_a_continuous_device_that_falls_silent_is_an_alarm(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan())
        one.hear(97)
        assert one.wait(599) == []
        one.clock.advance(seconds=1)
        (raised,) = one.keeper.tick()
        assert (raised.kind, raised.priority, raised.device_id) == (AlarmKind.TECHNICAL, Priority.MEDIUM, OXIMETER)
        assert one.wait(600) == []
        assert one.hear(97) == ["no_data cleared"]


async def test_silence_during_an_alarm_is_high_priority(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan())
        one.hear(70)
        one.clock.advance(seconds=600)
        (raised,) = one.keeper.tick()
        assert (raised.condition, raised.priority) == ("no_data", Priority.HIGH)
        assert one.keeper.active() == ("no_data", "spo2_low"), "the silence hides nothing"


async def test_a_device_that_never_came_back_after_a_reboot_is_an_alarm(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        one.hear(97)
    clock.reboot(SECOND_BOOT, off_seconds=60)
    async with hub(tmp_path, clock) as one:
        assert one.wait(599) == []
        assert one.wait(2) == ["no_data raised"]


async def test_spot_checks_never_fall_silent(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan())
        one.hear(97, modality=Modality.SPOT)
        assert one.wait(86_400) == []


async def test_a_paused_plan_ends_every_alarm_and_raises_none(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan())
        one.hear(70)
        one.wait(600)
        await one.plan(plan(version=2, active=False))
        assert one.keeper.active() == ()
        assert one.hear(40) == []
        assert one.wait(3600) == []
        states_now = [alarm.state for alarm in await stored_alarms(one.store)]
        assert states_now.count(AlarmState.RAISED) == states_now.count(AlarmState.CLEARED) == 2


async def test_the_same_plan_again_is_answered_the_same_and_an_older_one_refused(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan(version=2))
        await one.plan(plan(version=2))
        older = await one.keeper.offer(REGISTRY.sign(plan(version=1)))
        assert (older.outcome, older.reason, older.version) == (Outcome.REFUSED, "refuse_older", 1)
        assert one.keeper.plan == plan(version=2)
        with pytest.raises(UntrustedError):
            await one.keeper.offer(CA.leaf("hub-0002").sign(plan(version=3)))
        assert one.keeper.plan == plan(version=2)


async def test_an_answered_plan_is_on_the_disk(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan())
        assert PLAN in one.store._database.state()


async def test_damaged_memory_leaves_the_hub_measuring(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as one:
        await one.plan(plan())
        await one.store.put_state({MEMORY: b'{"utc_ms": true}'})
    async with hub(tmp_path, clock) as one:
        assert one.hear(70) == ["spo2_low raised"]
        await one.store.put_state({MEMORY: b"\xff", PLAN: b"\xc1"})
    async with hub(tmp_path, clock) as one:
        assert one.keeper.plan is None
        assert one.hear(70) == []


async def test_readings_without_change_write_no_state(tmp_path: Path) -> None:
    async with hub(tmp_path, ManualClock()) as one:
        await one.plan(plan())
        one.hear(97)
        before = one.store.state[MEMORY]
        for _ in range(20):
            one.hear(97)
        assert one.store.state[MEMORY] is before


async def test_what_is_quarantined_is_kept_and_raises_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as h:
        await h.plan(plan())
        intake = Intake(h.store, h.keeper)
        low = (Measurement(Metric.SPO2, 60.0, Modality.CONTINUOUS),)
        with intake.quarantining(OXIMETER, lasting_seconds=0):
            for _ in range(120):
                await intake.take(OXIMETER, low, clock.advance(seconds=1))
                h.keeper.tick()
        assert h.keeper.active() == ()
        async with asyncio.timeout(5):
            while h.store.waiting()[UpLane.READINGS] < 120:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)  # the quarantine's end
        for _ in range(120):
            await intake.take(OXIMETER, low, clock.advance(seconds=1))
            h.keeper.tick()
        assert h.keeper.active() == ("spo2_low",)


async def test_a_device_whose_clock_was_never_set_raises_that_and_nothing_else(tmp_path: Path) -> None:
    clock = ManualClock()
    async with hub(tmp_path, clock) as h:
        unset_clock = TechnicalRule("clock", 1, TechnicalKind.CLOCK_FAULT, Priority.LOW, device_id=OXIMETER)
        await h.plan(plan(technical=(unset_clock,)))
        intake = Intake(h.store, h.keeper)
        flags = (Quality.DEVICE_CLOCK_UNSET,)
        undated = (Measurement(Metric.SPO2, 60.0, Modality.SPOT, quality=flags),)
        await intake.take(OXIMETER, undated, clock.advance(seconds=1))
        h.wait(600)
        assert h.keeper.active() == ("clock_fault",)
        stamp = datetime.fromtimestamp(clock.now().utc_ms / 1000)  # noqa: DTZ006 - the hub's own zone
        dated = (Measurement(Metric.SPO2, 97.0, Modality.SPOT, device_time=stamp.replace(microsecond=0).isoformat()),)
        await intake.take(OXIMETER, dated, clock.advance(seconds=1))
        assert h.keeper.active() == ()


@pytest.mark.parametrize("quality", [ClockQuality.SYNCED, ClockQuality.UNSYNCED])
async def test_what_the_device_kept_of_the_last_patient_raises_nothing(tmp_path: Path, quality: ClockQuality) -> None:
    clock = ManualClock(quality=quality)
    now_ms = clock.now().utc_ms
    async with hub(tmp_path, clock) as h:
        await h.plan(plan(devices=(PlannedDevice(OXIMETER, now_ms - 3_600_000),)))
        intake = Intake(h.store, h.keeper)

        def kept(days_ago: float) -> tuple[Measurement, ...]:
            stamp = datetime.fromtimestamp(now_ms / 1000 - days_ago * 86_400)  # noqa: DTZ006 - the hub's own zone
            stamped = stamp.replace(microsecond=0).isoformat()
            return (Measurement(Metric.SPO2, 60.0, Modality.SPOT, device_time=stamped, record=1),)

        await intake.take(OXIMETER, kept(3), clock.advance(seconds=1))
        await intake.take(
            OXIMETER, (Measurement(Metric.SPO2, 60.0, Modality.SPOT, record=2),), clock.advance(seconds=1)
        )
        h.wait(600)
        assert h.keeper.active() == ()
        await intake.take(OXIMETER, kept(-601 / 86_400), clock.advance(seconds=1))
        assert h.keeper.active() == ("spo2_low",)
        async with asyncio.timeout(5):
            while not await stored_alarms(h.store) or h.store.waiting()[UpLane.READINGS] < 3:
                await asyncio.sleep(0.01)
        assert len(await stored_alarms(h.store)) == 1
        (shelf,) = [one for one in h.store.shelves() if one.lane is UpLane.READINGS]
        kept_readings = await h.store.fetch(shelf, (1, 3), 10)
        assert [one.attribution for one in kept_readings if isinstance(one, Reading)] == [
            # A hub that knows the time has dated it: the cloud knows whose it was then.
            Attribution.ASSIGNED if quality is ClockQuality.SYNCED else Attribution.QUARANTINED,
            Attribution.QUARANTINED,
            Attribution.ASSIGNED,
        ]
