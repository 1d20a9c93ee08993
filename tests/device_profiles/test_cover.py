"""When somebody looks: what is read, what is refused, and every minute of the week."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.cover import DAY_MINUTES, CoverHours, Watch, cover_text, parse_cover, watch

OFFICE = parse_cover("mon-fri 08:00-18:00, sat 09:00-12:00")
MONDAY = datetime(2026, 11, 30)  # noqa: DTZ001 - a wall clock


@pytest.mark.parametrize(
    ("at", "is_staffed", "until"),
    [
        (timedelta(hours=7, minutes=59), False, timedelta(hours=8)),
        (timedelta(hours=8), True, timedelta(hours=18)),
        (timedelta(hours=17, minutes=59), True, timedelta(hours=18)),
        (timedelta(hours=18), False, timedelta(days=1, hours=8)),
        (timedelta(days=4, hours=18), False, timedelta(days=5, hours=9)),
        (timedelta(days=5, hours=12), False, timedelta(days=7, hours=8)),
        (timedelta(days=6, hours=23), False, timedelta(days=7, hours=8)),
    ],
)
def test_a_week_of_office_hours(at: timedelta, is_staffed: bool, until: timedelta) -> None:
    assert watch(OFFICE, MONDAY + at) == Watch(is_staffed, MONDAY + until)


def test_always_never_and_over_midnight() -> None:
    assert watch(parse_cover("always"), MONDAY) == Watch(True, None)
    assert watch((), MONDAY) == Watch(False, None)
    nights = parse_cover("mon-sun 20:00-24:00, mon-sun 00:00-06:00")
    assert watch(nights, MONDAY + timedelta(hours=23)) == Watch(True, MONDAY + timedelta(days=1, hours=6))


@pytest.mark.parametrize("text", ["", "monday 08:00-18:00", "mon 8-18", "mon 18:00-08:00", "mon 08:00-24:30", "mon"])
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not like|ends before"):
        parse_cover(text)


@st.composite
def covers(draw: st.DrawFn) -> tuple[CoverHours, ...]:
    found = []
    for _ in range(draw(st.integers(0, 5))):
        begins = draw(st.integers(0, DAY_MINUTES - 1))
        found.append(CoverHours(draw(st.integers(0, 6)), begins, draw(st.integers(begins + 1, DAY_MINUTES))))
    return tuple(found)


@given(covers(), st.integers(0, 7 * DAY_MINUTES - 1))
def test_it_stays_so_until_then_and_not_longer(cover: tuple[CoverHours, ...], minute: int) -> None:
    now = MONDAY + timedelta(minutes=minute)
    found = watch(cover, now)
    if found.until is None:
        assert all(
            watch(cover, now + timedelta(minutes=step)).is_staffed is found.is_staffed for step in range(0, 10_080, 7)
        )
        return
    assert now < found.until <= now + timedelta(days=7)
    assert watch(cover, found.until - timedelta(minutes=1)).is_staffed is found.is_staffed
    assert watch(cover, found.until).is_staffed is not found.is_staffed


@given(covers())
def test_what_is_written_is_read(cover: tuple[CoverHours, ...]) -> None:
    ordered = tuple(sorted(set(cover), key=lambda one: (one.day, one.from_minute, one.until_minute)))
    assert cover == () or parse_cover(cover_text(ordered)) == ordered
