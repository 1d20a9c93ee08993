"""The sign that a single check is kept: once it is on the disk, for a check of just now, and for nothing else."""

from datetime import datetime, timedelta
from pathlib import Path

from tests.agent.alarms.test_keeper import hub
from tests.support.clock import ManualClock
from tests.support.readings import OXIMETER, plan

from bedside_agent.intake import Intake
from bedside_profiles.readings import Measurement, Metric, Modality


async def test_a_check_of_just_now_is_told_once_it_is_on_the_disk(tmp_path: Path) -> None:
    clock, told = ManualClock(), list[int]()
    async with hub(tmp_path, clock) as h:
        await h.plan(plan())
        intake = Intake(h.store, h.keeper, lambda: told.append(1))
        pressure = tuple(
            [
                Measurement(metric, 80.0, Modality.SPOT)
                for metric in (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE)
            ]
        )
        await intake.take(OXIMETER, pressure, clock.advance(seconds=1))
        assert told == [], "not before"
        await intake.stored()
        assert told == [1], "one check, one sign"
        await intake.take(OXIMETER, (Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS),), clock.advance(seconds=1))
        earlier = datetime.fromtimestamp(clock.now().utc_ms / 1000) - timedelta(hours=3)  # noqa: DTZ006 - hub's zone
        stamped = earlier.replace(microsecond=0).isoformat()
        out_of_memory = (Measurement(Metric.SPO2, 97.0, Modality.SPOT, device_time=stamped, record=1),)
        await intake.take(OXIMETER, out_of_memory, clock.advance(seconds=1))
        await intake.stored()
        assert told == [1]
