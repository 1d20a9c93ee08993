"""Sets of sequences as ranges, between PostgreSQL's multiranges and the wire's pairs."""

from bisect import bisect_right
from collections.abc import Iterable

from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

Pair = tuple[int, int]
"""First and last sequence, both included."""


def to_pairs(ranges: Multirange[int]) -> tuple[Pair, ...]:
    """A multirange as pairs, rising."""
    return tuple((part.lower, part.upper - 1) for part in ranges if part.lower is not None and part.upper is not None)


def to_multirange(pairs: Iterable[Pair]) -> Multirange[int]:
    """Pairs, in any order, as PostgreSQL's `int8multirange`."""
    return Multirange([Range(first, last + 1) for first, last in pairs])


def joined(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """The same sequences in as few pairs as possible, rising."""
    result: list[Pair] = []
    for first, last in sorted(pairs):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return tuple(result)


class Settled:
    """Fast membership in the rising pairs of one lane."""

    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        self._pairs = pairs
        self._firsts = [first for first, _ in pairs]

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self._firsts, seq) - 1
        return place >= 0 and seq <= self._pairs[place][1]
