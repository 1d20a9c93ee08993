"""The pure parts: steps of an episode, periods of a device."""

from datetime import UTC, datetime, timedelta

import pytest

from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.registry.episodes import STEPS, may_move
from bedside_cloud.registry.periods import Period, overlaps

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_every_state_but_the_end_has_its_steps_and_none_leads_to_itself() -> None:
    assert set(STEPS) == {None, *EpisodeState} - {EpisodeState.ENDED}
    assert all(state not in steps for state, steps in STEPS.items())


@pytest.mark.parametrize(
    ("present", "wanted", "allowed"),
    [
        (None, EpisodeState.ACTIVE, True),
        (None, EpisodeState.PAUSED, False),
        (EpisodeState.PLANNED, EpisodeState.PAUSED, False),
        (EpisodeState.ACTIVE, EpisodeState.PLANNED, False),
        (EpisodeState.PAUSED, EpisodeState.ACTIVE, True),
    ],
)
def test_steps(present: EpisodeState | None, wanted: EpisodeState, allowed: bool) -> None:
    assert may_move(present, wanted) is allowed


@pytest.mark.parametrize(
    ("period", "overlapping"),
    [
        (Period("a", NOON - HOUR, None), True),
        (Period("a", NOON + HOUR, None), True),
        (Period("a", NOON - HOUR, NOON + HOUR), True),
        (Period("a", NOON + HOUR, NOON + 2 * HOUR), True),
        (Period("a", NOON - HOUR, NOON), False),
    ],
)
def test_an_open_period_overlaps_whatever_ends_after_it_begins(period: Period, overlapping: bool) -> None:
    assert overlaps([period], NOON) is overlapping
