"""What must hold in every history: random readings, pauses, lost contact, restarts, reboots, wrong clocks and plans."""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.agent.alarms.timelines.conftest import MEMORY
from tests.support.alarm_timeline import Bench, Do, Follow, Reboot, Restart, Say, Step
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import OXIMETER, plan, rule

from bedside_profiles.readings import ClockQuality, Metric, Quality, RangeFlag
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.priority import ORDER, Priority
from bedside_profiles.rules.rates import Direction, RateRule
from bedside_profiles.wire.alarm import Alarm, AlarmState
from bedside_profiles.wire.careplan import PlannedDevice

OTHER = "oximeter-2"
DEVICES = (PlannedDevice(OXIMETER, 0), PlannedDevice(OTHER, 0))
PLAN = plan(
    devices=DEVICES,
    rules=(rule(priority=Priority.MEDIUM, extreme_priority=Priority.HIGH),),
    rates=(RateRule("fall", 1, "spo2_falling", Metric.SPO2, Direction.FALL, 8, 60_000, Priority.HIGH, 1),),
    cadences=(
        CadenceRule("check", 1, "spo2_overdue", Metric.SPO2, Priority.LOW, every_ms=600_000, alarm_after_ms=60_000),
    ),
    needs=("rates", "cadences"),
)
EXTREME = 75

values = st.sampled_from([60.0, 74.0, 76.0, 85.0, 88.0, 89.0, 90.0, 97.0, RangeFlag.BELOW])
says = st.builds(
    Say,
    at=st.just(0.0),
    value=values,
    device=st.sampled_from([OXIMETER, OTHER]),
    spot=st.booleans(),
    quality=st.sampled_from([(), (), (), (Quality.NO_CONTACT,), (Quality.LOW_BATTERY,)]),
    ago=st.sampled_from([0, 0, 0, 0, 90, 4000]),
)
offs = st.builds(lambda device: Off(0, device), st.sampled_from([OXIMETER, OTHER]))
clocks = st.builds(
    lambda utc_ms, quality: Clock(0, utc_ms, quality),
    st.sampled_from([0, NOON_MS - 10**10, NOON_MS, NOON_MS + 10**10]),
    st.sampled_from(list(ClockQuality)[:2]),
)
boots = st.one_of(
    st.just(Restart(0)),
    st.builds(Reboot, at=st.just(0.0), off=st.sampled_from([1.0, 400.0, 9000.0]), synced=st.booleans()),
)
steps = st.one_of(says, says, says, says, offs, boots, clocks)
pauses = st.sampled_from([0.0, 1.0, 5.0, 10.0, 60.0, 301.0, 700.0])
histories = st.lists(st.tuples(pauses, steps), max_size=25)


class Off(Do):
    """A frame without any reading, because the sensor is off."""

    def __init__(self, at: float, device: str) -> None:
        super().__init__(at, lambda bench: bench.keeper.sensor_off(device, bench.clock.now()))


class Clock(Do):
    """The wall clock jumps."""

    def __init__(self, at: float, utc_ms: int, quality: ClockQuality) -> None:
        super().__init__(at, lambda bench: bench.clock.set_wall(utc_ms, quality))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories)
def test_any_history(history: list[tuple[float, Step]]) -> None:
    asyncio.run(run(history))


async def run(history: list[tuple[float, Step]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        bench = Bench(Path(folder), ManualClock())
        await bench.open()
        try:
            await live(bench, history)
        finally:
            await bench.store.close()


async def live(bench: Bench, history: list[tuple[float, Step]]) -> None:
    await bench.put_in_force(PLAN)
    for pause, step in history:
        bench.pass_until(bench.seconds + pause)
        so_far = len(bench.alarms)
        await step.happen(bench)
        lives_by_the_rules(bench)
        if without_contact(step):
            hides_nothing(bench.alarms[so_far:])
        elif isinstance(step, Say) and step.ago == 0 and is_extreme(step.value):
            assert "spo2_low" in bench.keeper.active()
    await Follow(0, plan(version=2, active=False)).happen(bench)
    assert bench.keeper.active() == ()
    lives_by_the_rules(bench)


def without_contact(step: Step) -> bool:
    return isinstance(step, Off) or (isinstance(step, Say) and Quality.NO_CONTACT in step.quality)


def is_extreme(value: float | RangeFlag) -> bool:
    return value is RangeFlag.BELOW or (not isinstance(value, RangeFlag) and value <= EXTREME)


def hides_nothing(alarms: list[Alarm]) -> None:
    """Lost contact raises nothing about the patient and ends nothing."""
    assert not [one for one in alarms if one.condition.startswith("spo2_") and one.state is not AlarmState.UPDATED]


def lives_by_the_rules(bench: Bench) -> None:
    """One raised an episode, first; at most one cleared, last; no priority falls; what is not cleared stands."""
    episodes: dict[str, list[Alarm]] = defaultdict(list)
    for alarm in bench.alarms:
        episodes[alarm.episode].append(alarm)
    for alarms in episodes.values():
        said = [alarm.state for alarm in alarms]
        assert said[0] is AlarmState.RAISED
        assert set(said[1:-1]) <= {AlarmState.UPDATED}
        assert AlarmState.RAISED not in said[1:]
        urgency = [ORDER.index(alarm.priority) for alarm in alarms]
        assert urgency == sorted(urgency)
    open_ = {episode for episode, alarms in episodes.items() if alarms[-1].state is not AlarmState.CLEARED}
    assert open_ == {stands.episode for stands in bench.keeper.standing()}
