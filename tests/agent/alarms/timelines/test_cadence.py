"""A weight a day, by the interval or at eight in the morning: a reminder, then an alarm, until it is measured."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import (
    CLOCKS,
    YEAR_MS,
    Bench,
    Case,
    Do,
    Follow,
    Reboot,
    Restart,
    Say,
    Step,
    Until,
    play,
)
from tests.support.clock import NOON_MS
from tests.support.readings import plan

from bedside_profiles.readings import ClockQuality, Metric
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.careplan import CADENCES, CarePlan, PlannedDevice

HOUR = 3600
SCALE = "scale-1"
DEVICES = (PlannedDevice(SCALE, 0),)
# Time lines begin at 14:13:20 UTC.
EIGHT = 24 * HOUR + 8 * HOUR - (14 * HOUR + 13 * 60 + 20)
DAILY = CadenceRule("weight", 1, "weight_overdue", Metric.BODY_WEIGHT, Priority.MEDIUM, every_ms=24 * HOUR * 1000)
AT_8 = CadenceRule("weight", 1, "weight_overdue", Metric.BODY_WEIGHT, Priority.MEDIUM, at_minutes=(480,))
DUE, RAISED, CLEARED = "weight_overdue reminded", "weight_overdue raised medium", "weight_overdue cleared"
NO_CLOCK = "clock_fault"


def by(rule: CadenceRule) -> CarePlan:
    return plan(rules=(), cadences=(rule,), needs=(CADENCES,), devices=DEVICES)


def weigh(at: float, ago: float = 0) -> Step:
    return Say(at, 80, Metric.BODY_WEIGHT, SCALE, spot=True, ago=ago)


INTERVAL = (
    Case("measured", [weigh(0), weigh(23 * HOUR), weigh(46 * HOUR)]),
    Case("reminder, then alarm", [weigh(0), Until(26 * HOUR)], [(24 * HOUR, DUE), (25 * HOUR, RAISED)]),
    Case("boundary, at the last moment", [weigh(0), weigh(24 * HOUR - 120), Until(47 * HOUR)]),
    Case("after the reminder", [weigh(0), weigh(24.5 * HOUR), Until(48 * HOUR)], [(24 * HOUR, DUE)]),
    Case("resolves", [weigh(0), weigh(30 * HOUR)], [(24 * HOUR, DUE), (25 * HOUR, RAISED), (30 * HOUR, CLEARED)]),
    Case("gap, once however long", [weigh(0), Until(90 * HOUR)], [(24 * HOUR, DUE), (25 * HOUR, RAISED)]),
    Case("never measured", [Until(26 * HOUR)], [(24 * HOUR, DUE), (25 * HOUR, RAISED)]),
    Case(
        "another plan without it ends it",
        [Until(26 * HOUR), Follow(26 * HOUR, plan(version=2, devices=DEVICES))],
        [(24 * HOUR, DUE), (25 * HOUR, RAISED), (26 * HOUR, CLEARED)],
    ),
)

TIME_OF_DAY = (
    Case("measured", [weigh(EIGHT - HOUR + 60), Until(EIGHT + 8 * HOUR)]),
    Case("too early", [weigh(EIGHT - 2 * HOUR), Until(EIGHT + 2 * HOUR)], [(EIGHT, DUE), (EIGHT + HOUR, RAISED)]),
    Case("reminder, then alarm", [Until(EIGHT + 2 * HOUR)], [(EIGHT, DUE), (EIGHT + HOUR, RAISED)]),
    Case(
        "resolves",
        [weigh(EIGHT + 3 * HOUR), Until(EIGHT + 20 * HOUR)],
        [(EIGHT, DUE), (EIGHT + HOUR, RAISED), (EIGHT + 3 * HOUR, CLEARED)],
    ),
    Case("a record that comes late was taken in time", [weigh(EIGHT - 60, ago=1800), Until(EIGHT + 2 * HOUR)]),
    Case(
        "restart", [Until(EIGHT - 60), Restart(EIGHT), Until(EIGHT + 2 * HOUR)], [(EIGHT, DUE), (EIGHT + HOUR, RAISED)]
    ),
)

BOOTS = (
    Case(
        "a reboot of known length",
        [weigh(0), Reboot(HOUR, 10 * HOUR), Until(26 * HOUR)],
        [(24 * HOUR, DUE), (25 * HOUR, RAISED)],
    ),
    Case(
        "off when it was due",
        [weigh(0), Reboot(HOUR, 30 * HOUR), Until(33 * HOUR)],
        [(31 * HOUR, DUE), (32 * HOUR, RAISED)],
    ),
    Case(
        "a reboot of unknown length: it is due",
        [weigh(0), Reboot(600, 10, synced=False), Until(1800)],
        [(610, DUE)],
    ),
    Case(
        "reboots cannot put the alarm off",
        [weigh(0), Reboot(600, 10, synced=False), Until(1200), Reboot(1200, 10, synced=False), Until(1300)],
        [(610, DUE), (1210, RAISED)],
    ),
    Case(
        "overdue over a reboot",
        [Until(26 * HOUR), Reboot(26 * HOUR, 60, synced=False), Until(26 * HOUR + 600), weigh(27 * HOUR)],
        [(24 * HOUR, DUE), (25 * HOUR, RAISED), (27 * HOUR, CLEARED)],
    ),
)


async def check(directory: Path, case: Case, rule: CadenceRule, variant: str = "right") -> None:
    heard, _ = await play(directory, case, by(rule), variant)
    said = [(at, what) for at, what in heard if NO_CLOCK not in what]
    assert [what for _, what in said] == [what for _, what in case.heard]
    for (at, what), (expected, _) in zip(said, case.heard, strict=True):
        assert 0 <= at - expected <= 400, f"{what}: ticks of a long wait lie minutes apart"


@pytest.mark.parametrize("variant", CLOCKS)
@pytest.mark.parametrize("case", INTERVAL, ids=str)
async def test_an_interval_needs_no_wall_clock(tmp_path: Path, case: Case, variant: str) -> None:
    await check(tmp_path, case, DAILY, variant)


@pytest.mark.parametrize("case", TIME_OF_DAY, ids=str)
async def test_a_time_of_day(tmp_path: Path, case: Case) -> None:
    await check(tmp_path, case, AT_8)


@pytest.mark.parametrize("case", BOOTS, ids=str)
async def test_over_boots(tmp_path: Path, case: Case) -> None:
    await check(tmp_path, case, DAILY)


def clock(at: float, utc_ms: int, quality: ClockQuality) -> Step:
    def jump(bench: Bench) -> object:
        return bench.clock.set_wall(utc_ms, quality)

    return Do(at, jump)


@pytest.mark.parametrize("utc_ms", [0, NOON_MS - YEAR_MS, NOON_MS + YEAR_MS])
async def test_a_hub_without_the_time_waits_for_the_longest_gap(tmp_path: Path, utc_ms: int) -> None:
    case = Case(
        "",
        [clock(0, utc_ms, ClockQuality.UNSYNCED), weigh(10), Until(26 * HOUR)],
        [(24 * HOUR, DUE), (25 * HOUR, RAISED)],
    )
    await check(tmp_path, case, AT_8)


async def test_a_clock_that_is_found_brings_the_due_time_back(tmp_path: Path) -> None:
    case = Case(
        "",
        [
            clock(0, 0, ClockQuality.UNSYNCED),
            weigh(10),
            clock(HOUR, NOON_MS + HOUR * 1000, ClockQuality.SYNCED),
            Until(EIGHT + 2 * HOUR),
        ],
        [(EIGHT, DUE), (EIGHT + HOUR, RAISED)],
    )
    await check(tmp_path, case, AT_8)
