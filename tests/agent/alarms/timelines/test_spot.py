"""A threshold over single checks: systolic above 180 asks for a repeat within 5 minutes, 220 fires at once."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Case, Follow, Reboot, Restart, Say, Step, Until, play
from tests.support.readings import OXIMETER, plan, rule

from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.careplan import PlannedDevice

CUFF, OTHER = "cuff-1", "cuff-2"
RULE = rule(
    rule_id="systolic-high",
    condition="systolic_high",
    metric=Metric.SYSTOLIC_PRESSURE,
    side=Side.ABOVE,
    limit=180,
    clear_limit=170,
    extreme_limit=220,
    onset_delay_ms=0,
)
DEVICES = (PlannedDevice(CUFF, 0), PlannedDevice(OTHER, 0), PlannedDevice(OXIMETER, 0))
PLAN = plan(rules=(RULE,), devices=DEVICES)
RAISED, CLEARED = "systolic_high raised high", "systolic_high cleared"


def check(at: float, value: float | RangeFlag, device: str = CUFF) -> Step:
    return Say(at, value, Metric.SYSTOLIC_PRESSURE, device, spot=True)


EVERYWHERE = (
    Case("fires with its repeat", [check(0, 190), check(60, 185)], [(60, RAISED)]),
    Case("fires without a repeat", [check(0, 190), Until(400)], [(300, RAISED)]),
    Case("in range", [check(0, 150), Until(400)]),
    Case("boundary, the limit itself", [check(0, 180), Until(400)]),
    Case("boundary, a second before the repeat is due", [check(0, 190), check(299, 150), Until(400)]),
    Case("boundary, the extreme limit", [check(0, 219), check(1, 220)], [(1, RAISED)]),
    Case("extreme at once", [check(0, 220)], [(0, RAISED)]),
    Case("above the device's range", [check(0, RangeFlag.ABOVE)], [(0, RAISED)]),
    Case("gap, only a check in range resolves", [check(0, 230), Until(3000)], [(0, RAISED)]),
    Case("resolves", [check(0, 230), check(60, 175), check(120, 170)], [(0, RAISED), (120, CLEARED)]),
    Case("another cuff repeats as well", [check(0, 190), check(60, 190, OTHER)], [(60, RAISED)]),
    Case("another cuff ends it as well", [check(0, 230), check(60, 150, OTHER)], [(0, RAISED), (60, CLEARED)]),
    Case(
        "a timer is looked at again before it acts: in range of the limit that holds by now",
        [check(0, 190), Follow(60, plan(version=2, rules=(replace(RULE, limit=200),), devices=DEVICES)), Until(400)],
    ),
    Case(
        "a timer is looked at again before it acts: the limit was moved and it is still beyond",
        [check(0, 190), Follow(60, plan(version=2, rules=(replace(RULE, limit=185),), devices=DEVICES)), Until(400)],
        [(300, RAISED)],
    ),
)

BOOTS = (
    Case("restart while the repeat is awaited", [check(0, 190), Restart(100), Until(400)], [(300, RAISED)]),
    Case("reboot of known length", [check(0, 190), Reboot(100, 50), Until(400)], [(300, RAISED)]),
    Case("reboot beyond the repeat", [check(0, 190), Reboot(100, 500), Until(700)], [(601, RAISED)]),
    Case("reboot of unknown length", [check(0, 190), Reboot(100, 1, synced=False), Until(200)], [(102, RAISED)]),
    Case(
        "active over a reboot",
        [check(0, 230), Reboot(5, 9, synced=False), check(20, 150)],
        [(0, RAISED), (20, CLEARED)],
    ),
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", EVERYWHERE, ids=str)
async def test_spot(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, PLAN, variant))[0] == list(case.heard)


@pytest.mark.parametrize("case", BOOTS, ids=str)
async def test_spot_over_boots(tmp_path: Path, case: Case) -> None:
    assert (await play(tmp_path, case, PLAN))[0] == list(case.heard)


async def test_a_live_signal_in_range_is_a_repeat_too_and_one_out_of_range_has_its_own_delay(tmp_path: Path) -> None:
    both = plan(rules=(rule(),), devices=DEVICES)
    in_range = Case("", [Say(0, 85, device=CUFF, spot=True), Say(10, 97), Until(400)])
    assert (await play(tmp_path / "a", in_range, both))[0] == []
    out_of_range = Case("", [Say(0, 85, device=CUFF, spot=True), Say(10, 85), Until(19), Say(20, 85)])
    assert (await play(tmp_path / "b", out_of_range, both))[0] == [(20, "spo2_low raised high")]


async def test_a_repeat_is_asked_for_while_it_is_awaited(tmp_path: Path) -> None:
    _, waiting = await play(tmp_path / "a", Case("", [check(0, 190), Until(10)]), PLAN)
    assert waiting.keeper.repeats() == (Metric.SYSTOLIC_PRESSURE,)
    _, done = await play(tmp_path / "b", Case("", [check(0, 190), check(60, 150)]), PLAN)
    assert done.keeper.repeats() == ()
