"""A device's battery: low at 20 %, urgent at 5 %, no longer low at 25 %; or the device only says that it is low."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Bench, Case, Do, Reboot, Say, Step, Until, play, steady
from tests.support.readings import OXIMETER, plan

from bedside_profiles.readings import Quality
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.technical import TechnicalKind, TechnicalRule
from bedside_profiles.wire.careplan import TECHNICAL

RAISED, URGENT, CLEARED = "battery_low raised low", "battery_low updated medium", "battery_low cleared"


def charge(at: float, percent: int, device: str = OXIMETER) -> Step:
    def say(bench: Bench) -> object:
        return bench.keeper.battery(device, percent, bench.clock.now())

    return Do(at, say)


EVERYWHERE = (
    Case("fires", [charge(0, 15)], [(0, RAISED)]),
    Case("full", [charge(0, 100), charge(10, 21)]),
    Case("boundary", [charge(0, 21), charge(10, 20)], [(10, RAISED)]),
    Case("worsens once", [charge(0, 15), charge(10, 5), charge(20, 4)], [(0, RAISED), (10, URGENT)]),
    Case("urgent from the start", [charge(0, 5)], [(0, "battery_low raised medium")]),
    Case("gap, nothing more said", [charge(0, 15), Until(3000)], [(0, RAISED)]),
    Case("resolves a full swing above", [charge(0, 20), charge(10, 24), charge(20, 25)], [(0, RAISED), (20, CLEARED)]),
    Case(
        "by a flag",
        [Say(0, 97), *steady(97, 10, 30, 10, quality=(Quality.LOW_BATTERY,)), Say(30, 97)],
        [(10, RAISED), (30, CLEARED)],
    ),
    Case("a device that is not this patient's", [charge(0, 5, "another")]),
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", EVERYWHERE, ids=str)
async def test_battery(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, variant=variant))[0] == list(case.heard)


async def test_it_stays_low_over_a_reboot(tmp_path: Path) -> None:
    case = Case("", [charge(0, 15), Reboot(10, 60, synced=False), Until(90), charge(100, 15), charge(110, 90)])
    assert (await play(tmp_path, case))[0] == [(0, RAISED), (110, CLEARED)]


async def test_the_plan_says_what_is_low(tmp_path: Path) -> None:
    rule = TechnicalRule(
        "battery",
        1,
        TechnicalKind.BATTERY_LOW,
        Priority.MEDIUM,
        low_percent=50,
        critical_percent=40,
        critical_priority=Priority.HIGH,
    )
    case = Case("", [charge(0, 51), charge(10, 50), charge(20, 40)])
    heard, bench = await play(tmp_path, case, plan(technical=(rule,), needs=(TECHNICAL,)))
    assert heard == [(10, "battery_low raised medium"), (20, "battery_low updated high")]
    assert bench.alarms[0].rule_id == "battery"
