"""Readings that come long after they were taken: over is told once and marked, going on is a normal alarm."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import Case, Restart, Say, Step, Until, play, steady
from tests.support.readings import plan

from bedside_profiles.wire.alarm import AlarmState

RAISED, CLEARED = "spo2_low raised high", "spo2_low cleared"
WAS, WAS_OVER = "spo2_low raised high retrospective", "spo2_low cleared retrospective"


def check(at: float, value: float, ago: float) -> Step:
    return Say(at, value, spot=True, ago=ago)


CASES = (
    Case("over when it comes", [check(0, 70, 7200), check(1, 97, 3600), Until(60)], [(1, WAS), (1, WAS_OVER)]),
    Case("in range all the time", [check(0, 97, 7200), check(1, 97, 3600), Until(60)]),
    Case("still going on", [check(0, 97, 7200), check(1, 70, 3600), Until(60)], [(11, RAISED)]),
    Case("still going on, then it resolves", [check(0, 70, 3600), check(60, 97, 0)], [(10, RAISED), (60, CLEARED)]),
    Case("a repeat that never came", [check(0, 85, 7200), Until(60)], [(10, RAISED)]),
    Case("a repeat that was in range in time", [check(0, 85, 7200), check(1, 97, 7100), Until(60)]),
    Case("a repeat that came too late", [check(0, 85, 7200), check(1, 97, 3600), Until(60)], [(1, WAS), (1, WAS_OVER)]),
    Case("boundary, a minute is not late", [check(0, 70, 60)], [(0, RAISED)]),
    Case("boundary, a second more is", [check(0, 70, 61), Until(60)], [(10, RAISED)]),
    Case(
        "a live value in range has outdated it",
        [check(0, 97, 0), check(10, 70, 3600), Until(60)],
        [(20, WAS), (20, WAS_OVER)],
    ),
    Case(
        "a live signal has outdated it",
        [*steady(97, 0, 5), check(5, 70, 3600), *steady(97, 6, 30)],
        [(15, WAS), (15, WAS_OVER)],
    ),
    Case(
        "an alarm that is active is not told again",
        [Say(0, 70, spot=True), check(10, 70, 3600), Until(60)],
        [(0, RAISED)],
    ),
    Case(
        "a stream after an hour without a link",
        [Say(at, 85 if at < 30 else 97, ago=3600) for at in range(60)],
        [(30, WAS), (30, WAS_OVER)],
    ),
    Case("restart before it is settled", [check(0, 70, 3600), Restart(5), Until(60)], [(15, RAISED)]),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_late(tmp_path: Path, case: Case) -> None:
    assert (await play(tmp_path, case))[0] == list(case.heard)


async def test_a_retrospective_alarm_has_the_times_of_then_and_stands_nowhere(tmp_path: Path) -> None:
    _, bench = await play(tmp_path, Case("", [check(0, 70, 7200), check(1, 97, 3600), Until(60)]), plan())
    raised, cleared = bench.alarms
    assert (raised.state, cleared.state) == (AlarmState.RAISED, AlarmState.CLEARED)
    assert raised.episode == cleared.episode
    now_ms = bench.clock.now().utc_ms
    assert (now_ms - raised.at_ms, now_ms - cleared.at_ms) == (7_260_000, 3_659_000)
    assert bench.keeper.standing() == ()
