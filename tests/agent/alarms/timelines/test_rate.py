"""A rate: SpO2 falling by 8 within ten minutes, over when it is less than 4; three samples make a point."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Case, Follow, Reboot, Restart, Say, Until, play, steady
from tests.support.readings import OXIMETER, plan

from bedside_agent.alarms.memory import COURSES_EVERY_MS
from bedside_profiles.readings import Metric, Quality, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.rates import Direction, RateRule
from bedside_profiles.wire.careplan import RATES, PlannedDevice

OTHER = "oximeter-2"
FALL = RateRule("spo2-fall", 1, "spo2_falling", Metric.SPO2, Direction.FALL, 8, 600_000, Priority.HIGH, clear_change=4)
DEVICES = (PlannedDevice(OXIMETER, 0), PlannedDevice(OTHER, 0))
PLAN = plan(rules=(), rates=(FALL,), needs=(RATES,), devices=DEVICES)
RAISED, CLEARED = "spo2_falling raised high", "spo2_falling cleared"

EVERYWHERE = (
    Case("fires", [*steady(97, 0, 100, 5), *steady(88, 100, 130, 5)], [(105, RAISED)]),
    Case("in range", steady(97, 0, 200, 5)),
    Case("boundary, a tenth less", [*steady(97, 0, 100, 5), *steady(89.1, 100, 200, 5)]),
    Case("boundary, exactly as much", [*steady(97, 0, 100, 5), *steady(89, 100, 125, 5)], [(105, RAISED)]),
    Case("a single artefact", [*steady(97, 0, 100, 5), Say(100, 20), *steady(97, 105, 200, 5)]),
    Case("slower than the window", [step for at in range(8) for step in steady(97 - at, at * 120, at * 120 + 15, 5)]),
    Case("gap within the window", [*steady(97, 0, 50, 5), *steady(85, 400, 415, 5)], [(410, RAISED)]),
    Case(
        "gap longer than the window",
        [*steady(97, 0, 50, 5), *steady(85, 650, 700, 5)],
        [(645, "no_data raised medium"), (650, "no_data cleared")],
    ),
    Case("below the device's range", [*steady(75, 0, 50, 5), *steady(RangeFlag.BELOW, 50, 65, 5)], [(55, RAISED)]),
    Case("no contact, nothing new", [*steady(97, 0, 50, 5), *steady(60, 50, 90, 5, quality=(Quality.NO_CONTACT,))]),
    Case(
        "two devices that differ",
        [step for at in range(0, 100, 5) for step in (Say(at, 97), Say(at, 85, device=OTHER))],
    ),
    Case(
        "resolves",
        [*steady(97, 0, 50, 5), *steady(88, 50, 65, 5), *steady(95, 65, 90, 5)],
        [(55, RAISED), (70, CLEARED)],
    ),
    Case(
        "another plan without it ends it",
        [*steady(97, 0, 50, 5), *steady(80, 50, 65, 5), Follow(70, plan(version=2, rules=(), devices=DEVICES))],
        [(55, RAISED), (70, CLEARED)],
    ),
)

BOOTS = (
    Case("restart in the window", [*steady(97, 0, 60, 5), Restart(61), *steady(85, 65, 80, 5)], [(70, RAISED)]),
    Case("reboot of known length", [*steady(97, 0, 60, 5), Reboot(60, 60), *steady(85, 125, 140, 5)], [(130, RAISED)]),
    Case("reboot longer than the window", [*steady(97, 0, 60, 5), Reboot(60, 700), *steady(85, 765, 790, 5)]),
    Case(
        "reboot of unknown length is none",
        [*steady(97, 0, 60, 5), Reboot(60, 7000, synced=False), *steady(85, 7065, 7080, 5)],
        [(7070, RAISED)],
    ),
    Case(
        "active over a reboot",
        [*steady(97, 0, 50, 5), *steady(85, 50, 65, 5), Reboot(66, 5, synced=False), Until(80), *steady(96, 80, 95, 5)],
        [(55, RAISED), (85, CLEARED)],
    ),
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", EVERYWHERE, ids=str)
async def test_rate(tmp_path: Path, case: Case, variant: str) -> None:
    heard, _ = await play(tmp_path, case, PLAN, variant)
    if variant not in ("restarts", "kills"):
        assert heard == list(case.heard)
        return
    # The newest seconds of a window may be lost with the agent: no alarm is, and none comes much later.
    assert [what for _, what in heard] == [what for _, what in case.heard]
    assert all(
        0 <= at - expected <= COURSES_EVERY_MS / 1000 for (at, _), (expected, _) in zip(heard, case.heard, strict=True)
    )


@pytest.mark.parametrize("case", BOOTS, ids=str)
async def test_rate_over_boots(tmp_path: Path, case: Case) -> None:
    assert (await play(tmp_path, case, PLAN))[0] == list(case.heard)


async def test_the_alarm_says_from_where_to_where(tmp_path: Path) -> None:
    _, bench = await play(tmp_path, Case("", [*steady(97, 0, 50, 5), *steady(85, 50, 65, 5)]), PLAN)
    (raised,) = bench.alarms
    origin, latest = raised.inputs
    assert (origin.value, latest.value, raised.limit, raised.rule_id) == (97, 85, 8, "spo2-fall")
    assert 0 < latest.taken_at_ms - origin.taken_at_ms <= FALL.window_ms
