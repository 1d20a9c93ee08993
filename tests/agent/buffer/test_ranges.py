"""Ranges behave as the sets of sequences that they stand for."""

from hypothesis import given
from hypothesis import strategies as st

from bedside_agent.buffer.ranges import Ranges, count, intersect, normalise, of_sequences, subtract, union

pieces = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=8)


def members(ranges: Ranges) -> set[int]:
    return {seq for first, last in ranges for seq in range(first, last + 1)}


@given(pieces, pieces)
def test_operations_are_those_of_sets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    left, right = normalise(one), normalise(other)
    assert members(left) == members(tuple(one))
    assert members(union(left, right)) == members(left) | members(right)
    assert members(intersect(left, right)) == members(left) & members(right)
    assert members(subtract(left, right)) == members(left) - members(right)
    assert count(left) == len(members(left))


@given(pieces, pieces)
def test_results_are_in_normal_form(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    left, right = normalise(one), normalise(other)
    for result in (left, union(left, right), intersect(left, right), subtract(left, right)):
        assert result == normalise(result)
        assert all(result[at][1] + 1 < result[at + 1][0] for at in range(len(result) - 1))


def test_single_sequences_join() -> None:
    assert of_sequences([5, 3, 4, 9]) == ((3, 5), (9, 9))
