"""A hub that has not known the time for an hour, and a device that dates its records by a clock that was never set."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import YEAR_MS, Bench, Case, Do, Reboot, Restart, Say, Step, Until, play
from tests.support.clock import NOON_MS

from bedside_profiles.readings import ClockQuality, Quality

RAISED, CLEARED = "clock_fault raised low", "clock_fault cleared"


def wall(at: float, utc_ms: int, quality: ClockQuality) -> Step:
    def jump(bench: Bench) -> object:
        return bench.clock.set_wall(utc_ms, quality)

    return Do(at, jump)


def lost(at: float) -> Step:
    return wall(at, NOON_MS, ClockQuality.UNSYNCED)


def found(at: float, ahead_ms: int = 0) -> Step:
    return wall(at, NOON_MS + round(at * 1000) + ahead_ms, ClockQuality.SYNCED)


CASES = (
    Case("fires", [lost(0), Until(3700)], [(3601, RAISED)]),
    Case("knows the time", [Until(5000)]),
    Case("boundary, found in the last second", [lost(0), found(3600), Until(7300)]),
    Case("resolves", [lost(0), found(4000), Until(4010)], [(3601, RAISED), (4001, CLEARED)]),
    Case("a jump of a year is none", [Until(10), found(10, YEAR_MS), Until(20), found(20, -YEAR_MS), Until(5000)]),
    Case("counts over a restart", [lost(0), Restart(1800), Until(3700)], [(3601, RAISED)]),
    Case("begins anew with a reboot", [lost(0), Reboot(1801, 9000, synced=False), Until(14500)], [(14401, RAISED)]),
    Case("a 1970 boot that never finds it", [Reboot(0, 1, synced=False), Until(4000)], [(3602, RAISED)]),
    Case(
        "a device's own clock",
        [Say(0, 97, spot=True, quality=(Quality.DEVICE_CLOCK_UNSET,)), Say(10, 97, spot=True)],
        [(0, RAISED), (10, CLEARED)],
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_clock_fault(tmp_path: Path, case: Case) -> None:
    heard, _ = await play(tmp_path, case)
    assert [said for _, said in heard] == [said for _, said in case.heard]
    for (at, _), (expected, _) in zip(heard, case.heard, strict=True):
        assert abs(at - expected) <= 15, "ticks of a long wait lie some seconds apart"
