"""A threshold over a continuous signal: SpO2 below 88 % for 10 s, over at 90 %, at 75 % at once."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Case, Follow, Reboot, Restart, Say, Until, play, steady
from tests.support.readings import OXIMETER, plan, rule

from bedside_profiles.readings import Quality, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice

OTHER = "oximeter-2"
PLAN = plan(devices=(PlannedDevice(OXIMETER, 0), PlannedDevice(OTHER, 0)))
RAISED, CLEARED, UPDATED = "spo2_low raised high", "spo2_low cleared", "spo2_low updated high"


def stepped_up() -> CarePlan:
    return plan(rules=(rule(priority=Priority.MEDIUM, extreme_priority=Priority.HIGH),))


EVERYWHERE = (
    Case("fires", steady(85, 0, 20), [(10, RAISED)]),
    Case("in range", steady(97, 0, 60)),
    Case("boundary, the limit itself", steady(88, 0, 60)),
    Case("boundary, below the limit", steady(87.9, 0, 12), [(10, RAISED)]),
    Case("boundary, a second short of the delay", [*steady(85, 0, 10), *steady(88, 10, 30)]),
    Case("boundary, the extreme limit", [Say(0, 75.1), Say(1, 75)], [(1, RAISED)]),
    Case("gap, the next reading after it decides", [Say(0, 85), Say(120, 85)], [(120, RAISED)]),
    Case("gap, back in range after it", [Say(0, 85), Say(120, 97)]),
    Case("resolves", [Say(0, 70), Say(5, 89.9), Say(6, 90)], [(0, RAISED), (6, CLEARED)]),
    Case("only a reading resolves", [Say(0, 70), Until(300)], [(0, RAISED)]),
    Case("worsens once", [*steady(85, 0, 15), Say(15, 74), Say(16, 73)], [(10, RAISED), (15, UPDATED)]),
    Case("below the device's range", [Say(0, RangeFlag.BELOW), Say(1, 95)], [(0, RAISED), (1, CLEARED)]),
    Case("above the device's range", [Say(0, RangeFlag.ABOVE)]),
    Case("no contact, nothing new", steady(60, 0, 30, quality=(Quality.NO_CONTACT,))),
    Case(
        "a good sensor beside it delays nothing",
        [step for at in range(12) for step in (Say(at, 85), Say(at, 97, device=OTHER))],
        [(10, RAISED)],
    ),
    Case(
        "one alarm, however many devices find it",
        [Say(0, 70), Say(1, 70, device=OTHER), Say(2, 95), Say(3, 95, device=OTHER)],
        [(0, RAISED), (3, CLEARED)],
    ),
    Case("another plan in mid-onset", [Say(0, 85), Follow(5, plan(version=2)), Say(10, 85)], [(10, RAISED)]),
    Case(
        "another plan whose limit is kept",
        [Say(0, 85), Follow(5, plan(version=2, rules=(rule(version=2, limit=80),))), Say(10, 85), Say(30, 85)],
    ),
    Case(
        "another plan without the rule ends it",
        [Say(0, 70), Follow(5, plan(version=2, rules=()))],
        [(0, RAISED), (5, CLEARED)],
    ),
    Case(
        "a device taken from the plan ends what only it found",
        [Say(0, 70, device=OTHER), Follow(5, plan(version=2))],
        [(0, RAISED), (5, CLEARED)],
    ),
)

BOOTS = (
    Case("restart in the middle of the delay", [Say(0, 85), Restart(5), Say(10, 85)], [(10, RAISED)]),
    Case("reboot of known length", [Say(0, 85), Reboot(2, 4), Say(9, 85), Say(10, 85)], [(10, RAISED)]),
    Case("reboot of unknown length is long", [Say(0, 85), Reboot(2, 1, synced=False), Say(4, 85)], [(4, RAISED)]),
    Case("reboot, then in range", [Say(0, 85), Reboot(2, 1, synced=False), Say(4, 97)]),
    Case(
        "active over a reboot",
        [Say(0, 70), Reboot(5, 3600, synced=False), Say(3610, 70), Say(3611, 95)],
        [(0, RAISED), (3611, CLEARED)],
    ),
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", EVERYWHERE, ids=str)
async def test_threshold(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, PLAN, variant))[0] == list(case.heard)


@pytest.mark.parametrize("case", BOOTS, ids=str)
async def test_threshold_over_boots(tmp_path: Path, case: Case) -> None:
    assert (await play(tmp_path, case, PLAN))[0] == list(case.heard)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_a_step_up_in_priority_is_an_update_and_is_kept_until_it_is_over(tmp_path: Path, variant: str) -> None:
    case = Case("", [*steady(85, 0, 12), Say(12, 74), *steady(85, 13, 20), Say(20, 95)])
    heard, bench = await play(tmp_path, case, stepped_up(), variant)
    assert heard == [(10, "spo2_low raised medium"), (12, UPDATED), (20, CLEARED)]
    assert [alarm.priority for alarm in bench.alarms] == [Priority.MEDIUM, Priority.HIGH, Priority.HIGH]
    assert len({alarm.episode for alarm in bench.alarms}) == 1


async def test_priority_does_not_fall_when_the_worse_of_two_devices_recovers(tmp_path: Path) -> None:
    worse = replace(stepped_up(), devices=PLAN.devices)
    case = Case("", [Say(0, 85), Say(10, 85), Say(11, 74, device=OTHER), Say(12, 95, device=OTHER), Say(13, 95)])
    heard, bench = await play(tmp_path, case, worse)
    assert heard == [(10, "spo2_low raised medium"), (11, UPDATED), (13, CLEARED)]
    assert bench.alarms[-1].priority is Priority.HIGH


async def test_the_alarm_carries_what_led_to_it(tmp_path: Path) -> None:
    _, bench = await play(tmp_path, Case("", [Say(0, 85), Say(10, 84), Say(20, 95)]))
    raised, cleared = bench.alarms
    assert (raised.value, raised.limit, raised.rule_id, raised.plan_version) == (84, 88, "spo2-low", 1)
    assert [(one.value, one.seq) for one in raised.inputs] == [(85, 1), (84, 2)]
    assert raised.at_ms - raised.onset_ms == 10_000
    assert [(one.value, one.seq) for one in cleared.inputs] == [(85, 1), (95, 3)]
    assert (cleared.value, cleared.episode, cleared.onset_ms) == (95, raised.episode, raised.onset_ms)


async def test_an_input_of_an_earlier_boot_counts_no_running_time(tmp_path: Path) -> None:
    _, bench = await play(tmp_path, Case("", [Say(0, 85), Reboot(2, 4), Say(10, 84)]))
    (raised,) = bench.alarms
    assert [one.monotonic_ms for one in raised.inputs] == [None, raised.monotonic_ms]
