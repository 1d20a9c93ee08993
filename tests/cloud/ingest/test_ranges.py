"""Sets of sequences between PostgreSQL and the wire."""

import itertools

import psycopg
from hypothesis import given
from hypothesis import strategies as st
from tests.support.database import TestDatabase

from bedside_cloud.ingest.ranges import Settled, joined, of_sequences, to_pairs, to_text

pairs = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 20)).map(lambda one: (one[0], one[0] + one[1])))


@given(pairs)
def test_joined_holds_the_same_sequences_in_separate_rising_pairs(given_pairs: list[tuple[int, int]]) -> None:
    result = joined(given_pairs)
    assert members(result) == members(tuple(given_pairs))
    assert all(later[0] > earlier[1] + 1 for earlier, later in itertools.pairwise(result))


@given(pairs, st.integers(0, 250))
def test_settled_knows_its_members(given_pairs: list[tuple[int, int]], seq: int) -> None:
    assert (seq in Settled(joined(given_pairs))) == (seq in members(tuple(given_pairs)))


@given(pairs, st.integers(0, 250), st.integers(0, 60))
def test_settled_knows_what_of_a_range_it_lacks(given_pairs: list[tuple[int, int]], first: int, more: int) -> None:
    wanted = (first, first + more)
    left = Settled(joined(given_pairs)).open_part(*wanted)
    assert members(left) == members((wanted,)) - members(tuple(given_pairs))
    assert left == joined(left)


@given(st.sets(st.integers(1, 100)))
def test_sequences_become_as_few_pairs_as_possible(sequences: set[int]) -> None:
    assert of_sequences(sequences) == joined((seq, seq) for seq in sequences)


def test_pairs_are_written_as_postgresql_reads_them(database: TestDatabase) -> None:
    for given_pairs in ((), ((1, 1),), ((1, 3), (5, 9), (2**61, 2**62))):
        with psycopg.connect(database.superuser_dsn) as connection:
            row = connection.execute("SELECT %s::int8multirange", (to_text(given_pairs),)).fetchone()
        assert row is not None
        assert to_pairs(row[0]) == given_pairs


def members(some: tuple[tuple[int, int], ...]) -> set[int]:
    return {seq for first, last in some for seq in range(first, last + 1)}
