"""Sets of sequences between PostgreSQL and the wire."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bedside_cloud.ingest.ranges import Settled, joined, to_multirange, to_pairs

pairs = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 20)).map(lambda one: (one[0], one[0] + one[1])))


@given(pairs)
def test_joined_holds_the_same_sequences_in_separate_rising_pairs(given_pairs: list[tuple[int, int]]) -> None:
    result = joined(given_pairs)
    assert members(result) == members(tuple(given_pairs))
    assert all(later[0] > earlier[1] + 1 for earlier, later in itertools.pairwise(result))


@given(pairs, st.integers(0, 250))
def test_settled_knows_its_members(given_pairs: list[tuple[int, int]], seq: int) -> None:
    assert (seq in Settled(joined(given_pairs))) == (seq in members(tuple(given_pairs)))


@given(pairs)
def test_a_multirange_keeps_the_pairs(given_pairs: list[tuple[int, int]]) -> None:
    assert to_pairs(to_multirange(joined(given_pairs))) == joined(given_pairs)


def members(some: tuple[tuple[int, int], ...]) -> set[int]:
    return {seq for first, last in some for seq in range(first, last + 1)}
