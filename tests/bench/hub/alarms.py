"""What the hub's alarms cost: time for each reading, and state written for each, of 20 devices with 10 rules.

The store and the rules are the hub's own; readings are in range, as they are nearly always.
"""

import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figure
from tests.support.alarm_timeline import Bench
from tests.support.clock import ManualClock
from tests.support.readings import plan, reading

from bedside_agent.alarms.keeper import COURSES, MEMORY
from bedside_cloud.operator_tools.limits import ADULT
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.rates import Direction, RateRule
from bedside_profiles.wire.careplan import RATES, PlannedDevice

DEVICES = 20
SHORT_SECONDS, LONG_SECONDS = 600, 3600
RATE = RateRule("fall", 1, "spo2_falling", Metric.SPO2, Direction.FALL, 8, 600_000, Priority.HIGH)
RISE = RateRule("rise", 1, "pulse_rising", Metric.PULSE_RATE, Direction.RISE, 30, 600_000, Priority.MEDIUM)


async def measure(*, long: bool) -> list[Figure]:
    """Microseconds of this process and bytes of state a reading."""
    seconds = LONG_SECONDS if long else SHORT_SECONDS
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        bench = Bench(Path(folder) / "hub", ManualClock())
        await bench.open()
        names = [f"oximeter-{number}" for number in range(DEVICES)]
        devices = tuple(PlannedDevice(name, 0) for name in names)
        await bench.put_in_force(plan(rules=ADULT, rates=(RATE, RISE), needs=(RATES,), devices=devices))
        readings = written = spent = 0
        last: dict[str, bytes | None] = {}
        for _ in range(seconds):
            now = bench.clock.advance(seconds=1)
            for name in names:
                drafts = [
                    reading(97, at=now, device_id=name),
                    reading(70, at=now, device_id=name, metric=Metric.PULSE_RATE),
                ]
                kept, _ = bench.store.append_readings(drafts)
                begun = time.process_time_ns()
                bench.keeper.observe(kept, now)
                spent += time.process_time_ns() - begun
                readings += len(kept)
            begun = time.process_time_ns()
            bench.keeper.tick()
            spent += time.process_time_ns() - begun
            for state in (MEMORY, COURSES):
                value = bench.store.state.get(state)
                if value is not None and value is not last.get(state):
                    last[state] = value
                    written += len(value)
            await bench.store.room()
        await bench.store.close()
    return [
        Figure("us_per_reading", round(spent / readings / 1000, 1), "us"),
        Figure("state_bytes_per_reading", round(written / readings, 1), "bytes"),
    ]
