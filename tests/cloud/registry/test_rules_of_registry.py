"""The pure parts: steps of an episode, periods of a device."""

from datetime import UTC, datetime, timedelta

import pytest

from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.registry.episodes import STEPS, may_move
from bedside_cloud.registry.periods import Period, conflict

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
    assert (conflict([period], Period("b", NOON, None)) is period) is overlapping


@pytest.mark.parametrize(
    ("present", "wanted", "stand_beside"),
    [
        (("a", 1), ("b", 2), True),
        (("a", None), ("b", 2), True),
        (("a", 2), ("b", None), True),
        (("a", 2), ("b", 2), False),
        (("a", None), ("b", None), False),
        (("a", None), ("b", 1), False),
        (("a", 0), ("b", None), False),
        (("a", 1), ("a", 2), False),
    ],
)
def test_two_people_share_a_device_in_slots_that_cannot_be_confused(
    present: tuple[str, int | None], wanted: tuple[str, int | None], stand_beside: bool
) -> None:
    (one, slot), (other, other_slot) = present, wanted
    held = Period(one, NOON - HOUR, None, slot)
    assert (conflict([held], Period(other, NOON, None, other_slot)) is None) is stand_beside
    ended = Period(one, NOON - HOUR, NOON, slot)
    assert conflict([ended], Period(other, NOON, None, other_slot)) is None
