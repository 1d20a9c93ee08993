"""Sets of sequences as ranges, between PostgreSQL's multiranges and the wire's pairs."""

from bisect import bisect_right
from collections.abc import Iterable

from psycopg.types.multirange import Multirange

Pair = tuple[int, int]
"""First and last sequence, both included."""


def to_pairs(ranges: Multirange[int]) -> tuple[Pair, ...]:
    """A multirange as pairs, rising."""
    return tuple((part.lower, part.upper - 1) for part in ranges if part.lower is not None and part.upper is not None)


def to_text(pairs: Iterable[Pair]) -> str:
    """Pairs, in any order, as PostgreSQL writes an `int8multirange`."""
    return "{" + ",".join(f"[{first},{last}]" for first, last in pairs) + "}"


def of_sequences(sequences: Iterable[int]) -> tuple[Pair, ...]:
    """Sequences, in any order, in as few pairs as possible, rising."""
    result: list[Pair] = []
    first = last = None
    for seq in sorted(sequences):
        if last is not None and seq <= last + 1:
            last = seq
            continue
        if first is not None and last is not None:
            result.append((first, last))
        first = last = seq
    if first is not None and last is not None:
        result.append((first, last))
    return tuple(result)


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
        self.pairs = pairs
        self._firsts = [first for first, _ in pairs]

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self._firsts, seq) - 1
        return place >= 0 and seq <= self.pairs[place][1]

    def open_part(self, first: int, last: int) -> tuple[Pair, ...]:
        """What of `first` to `last` is not in it, rising."""
        left: list[Pair] = []
        at = first
        for place in range(max(0, bisect_right(self._firsts, first) - 1), len(self.pairs)):
            settled_first, settled_last = self.pairs[place]
            if settled_first > last:
                break
            if at < settled_first:
                left.append((at, settled_first - 1))
            at = max(at, settled_last + 1)
        if at <= last:
            left.append((at, last))
        return tuple(left)
