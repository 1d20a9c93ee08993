"""Whose reading it is on a device that several people use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.ownership import Claim, Doubt, can_be_confused, owner_of, spans, users_told_apart

UNKNOWN, MISSING = Doubt.USER_UNKNOWN, Doubt.USER_MISSING


def claims(**users: int | None) -> tuple[Claim, ...]:
    return tuple(Claim(owner, 0, user=user) for owner, user in users.items())


@pytest.mark.parametrize(
    ("held", "user", "owner"),
    [
        (claims(), None, None),
        (claims(), 1, None),
        (claims(anna=None), None, "anna"),
        (claims(anna=None), 0, "anna"),
        (claims(anna=None), 1, "anna"),
        (claims(anna=None), 2, UNKNOWN),
        (claims(anna=2), None, "anna"),
        (claims(anna=2), 2, "anna"),
        (claims(anna=2), 1, UNKNOWN),
        (claims(anna=0), 1, UNKNOWN),
        (claims(anna=1, bert=2), 1, "anna"),
        (claims(anna=1, bert=2), 2, "bert"),
        (claims(anna=1, bert=2), 3, UNKNOWN),
        (claims(anna=1, bert=2), 0, UNKNOWN),
        (claims(anna=1, bert=2), None, MISSING),
        (claims(anna=None, bert=2), 1, "anna"),
        (claims(anna=None, bert=2), 2, "bert"),
        (claims(anna=None, bert=2), 3, UNKNOWN),
        (claims(anna=None, bert=2), None, MISSING),
        # Registry refuses what follows; whoever lets it in must not find a reading with the wrong person.
        (claims(anna=None, bert=None), 1, UNKNOWN),
        (claims(anna=None, bert=0), 1, UNKNOWN),
        (claims(anna=None, bert=0), 0, "bert"),
        (claims(anna=2, bert=2), 2, UNKNOWN),
    ],
)
def test_whose(held: tuple[Claim, ...], user: int | None, owner: str | Doubt | None) -> None:
    assert owner_of(held, user) == owner


USERS = st.none() | st.integers(0, 5)
HELD = st.lists(
    st.builds(
        lambda owner, user, begin, length: Claim(owner, begin, None if length is None else begin + length, user),
        st.sampled_from("abc"),
        USERS,
        st.integers(0, 20),
        st.none() | st.integers(0, 10),
    ),
    max_size=5,
)


@given(held=HELD, user=st.integers(0, 300))
def test_slots_that_are_not_told_apart_are_answered_alike(held: list[Claim], user: int) -> None:
    if user not in users_told_apart(held):
        assert owner_of(held, user) == owner_of(held, 301)


@given(held=HELD, at=st.integers(0, 40))
def test_spans_say_of_each_moment_what_holds_then(held: list[Claim], at: int) -> None:
    found = [span for span in spans(held) if span.from_ms <= at and (span.until_ms is None or at < span.until_ms)]
    expected = tuple(claim for claim in held if claim.holds_at(at))
    assert [span.claims for span in found] == ([expected] if expected else [])


@given(one=USERS, other=USERS, user=USERS)
def test_who_cannot_be_confused_gets_each_reading_that_names_their_slot(
    one: int | None, other: int | None, user: int | None
) -> None:
    assert can_be_confused(one, other) == can_be_confused(other, one)
    if can_be_confused(one, other) or user is None:
        return
    alone = {
        owner for owner, slot in (("a", one), ("b", other)) if owner_of((Claim(owner, 0, user=slot),), user) == owner
    }
    together = owner_of((Claim("a", 0, user=one), Claim("b", 0, user=other)), user)
    assert len(alone) < 2, "nobody could have both"
    assert together == (alone.pop() if alone else UNKNOWN)
