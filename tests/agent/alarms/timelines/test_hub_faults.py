"""Faults of the hub itself: an alarm about the hub, kept apart from the patient's, for as long as they are there."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Bench, Case, Do, Follow, Say, Step, Until, play
from tests.support.readings import plan

from bedside_profiles.rules.priority import Priority

CONDITION = "cannot_alert_patient"


def fault(at: float, priority: Priority | None) -> Step:
    def report(bench: Bench) -> None:
        bench.keeper.fault(CONDITION, priority)

    return Do(at, report)


RAISED, CLEARED = f"{CONDITION} raised medium", f"{CONDITION} cleared"

CASES = (
    Case("fires", [fault(0, Priority.MEDIUM), Until(5)], [(1, RAISED)]),
    Case("resolves", [fault(0, Priority.MEDIUM), Until(5), fault(5, None), Until(9)], [(1, RAISED), (6, CLEARED)]),
    Case("gone before it was told", [fault(0, Priority.MEDIUM), fault(0, None), Until(9)]),
    Case(
        "worsens",
        [fault(0, Priority.MEDIUM), Until(5), fault(5, Priority.HIGH), Until(9)],
        [(1, RAISED), (6, f"{CONDITION} updated high")],
    ),
    Case(
        "beside the patient's alarm",
        [fault(0, Priority.MEDIUM), Say(2, 70), Say(3, 97)],
        [(1, RAISED), (2, "spo2_low raised high"), (3, "spo2_low cleared")],
    ),
    Case(
        "a plan that the hub does not understand in whole",
        [Follow(0, plan(version=2, needs=("rates", "telepathy"))), Until(5), Follow(6, plan(version=3)), Until(9)],
        [(0, "plan_incomplete raised medium"), (6, "plan_incomplete cleared")],
    ),
)


@pytest.mark.parametrize("variant", VARIANTS[:4])
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_hub_faults(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, variant=variant))[0] == list(case.heard)
