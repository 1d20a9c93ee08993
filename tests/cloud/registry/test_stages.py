"""What a rollout does next, hub by hub and stage by stage."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_cloud.contracts.releases import Standing
from bedside_cloud.registry.stages import (
    GRACE,
    Course,
    Finish,
    Give,
    Halt,
    Member,
    NextStage,
    Wait,
    next_step,
    stage_of,
    standing,
)

NOW = datetime(2026, 9, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
COURSE = Course("1.2.0", (10, 100), 0, HOUR, 5)
UNTOLD = Member("hub-1", 0, False, None, "", None, None, "1.1.0", True)
TOLD = replace(UNTOLD, is_given=True, expires_at=NOW + HOUR)
DONE = replace(TOLD, outcome="applied", answered_at=NOW, agent_version="1.2.0")
REFUSED = replace(TOLD, outcome="refused", answered_at=NOW, reason="it was taken back")
LATE = NOW + GRACE


@pytest.mark.parametrize(
    ("member", "now", "expected"),
    [
        (UNTOLD, NOW, Standing.WAITS),
        (TOLD, NOW, Standing.GIVEN),
        (TOLD, NOW + HOUR, Standing.SILENT),
        (DONE, LATE, Standing.WORKS),
        (REFUSED, NOW, Standing.FAILED),
        (replace(DONE, online=False), LATE - timedelta(seconds=1), Standing.WORKS),
        (replace(DONE, online=False), LATE, Standing.FAILED),
        (replace(DONE, agent_version="1.1.0"), LATE, Standing.FAILED),
    ],
)
def test_how_a_hub_stands(member: Member, now: datetime, expected: Standing) -> None:
    assert standing(member, "1.2.0", now) is expected


def test_a_stage_is_given_waited_for_and_watched_before_the_next() -> None:
    second = replace(UNTOLD, hub_id="hub-2", stage=1)
    assert next_step(COURSE, [UNTOLD, second], NOW) == Give(("hub-1",))
    assert next_step(COURSE, [TOLD, second], NOW) == Wait()
    assert next_step(COURSE, [DONE, second], NOW + HOUR - timedelta(seconds=1)) == Wait()
    assert next_step(COURSE, [DONE, second], NOW + HOUR) == NextStage()
    last = replace(COURSE, stage=1)
    assert next_step(last, [DONE, second], NOW + HOUR) == Give(("hub-2",))
    assert next_step(last, [DONE, replace(DONE, hub_id="hub-2", stage=1)], NOW + HOUR) == Finish()


def test_a_failure_of_the_first_hub_halts_before_anybody_else_is_told() -> None:
    second = replace(UNTOLD, hub_id="hub-2", stage=1)
    step = next_step(COURSE, [REFUSED, second], NOW)
    assert step == Halt("Of 1 that tried, 1 failed: hub-1")


def test_one_that_goes_silent_during_the_watch_halts_too() -> None:
    step = next_step(COURSE, [replace(DONE, online=False)], LATE)
    assert isinstance(step, Halt)


def test_a_share_that_is_allowed_does_not_halt() -> None:
    many = [replace(DONE, hub_id=f"hub-{number}") for number in range(19)]
    assert next_step(COURSE, [*many, REFUSED], NOW + HOUR) == NextStage()
    assert isinstance(next_step(COURSE, [*many[:18], REFUSED], NOW + HOUR), Halt)


def test_hubs_that_never_answered_neither_halt_nor_hold_it_up() -> None:
    assert next_step(COURSE, [replace(TOLD, expires_at=NOW)], NOW) == NextStage()


@given(st.integers(1, 500), st.sets(st.integers(1, 99), max_size=5).map(lambda found: (*sorted(found), 100)))
def test_every_hub_has_one_stage_the_first_is_small_and_they_rise(count: int, stages: tuple[int, ...]) -> None:
    found = [stage_of(place, count, stages) for place in range(count)]
    assert found == sorted(found)
    assert found[0] == 0
    for stage, percent in enumerate(stages):
        told = sum(one <= stage for one in found)
        assert told == max(1, count * percent // 100)
