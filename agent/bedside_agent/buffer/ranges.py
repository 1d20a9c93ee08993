"""Sets of sequences as ranges: sorted, disjoint, never touching, both ends included. Pure."""

from collections.abc import Iterable

Range = tuple[int, int]
Ranges = tuple[Range, ...]

NOTHING: Ranges = ()


def normalise(ranges: Iterable[Range]) -> Ranges:
    """The same set, sorted and joined; a range whose end lies before its beginning holds nothing."""
    joined: list[Range] = []
    for first, last in sorted(pair for pair in ranges if pair[0] <= pair[1]):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def union(one: Ranges, other: Ranges) -> Ranges:
    """What is in either."""
    return normalise((*one, *other))


def intersect(one: Ranges, other: Ranges) -> Ranges:
    """What is in both."""
    found: list[Range] = []
    left = right = 0
    while left < len(one) and right < len(other):
        first = max(one[left][0], other[right][0])
        last = min(one[left][1], other[right][1])
        if first <= last:
            found.append((first, last))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return tuple(found)


def subtract(one: Ranges, other: Ranges) -> Ranges:
    """What is in `one` and not in `other`."""
    left: list[Range] = []
    place = 0
    for first, last in one:
        at = first
        while place < len(other) and other[place][1] < at:
            place += 1
        ahead = place
        while ahead < len(other) and other[ahead][0] <= last:
            if at < other[ahead][0]:
                left.append((at, other[ahead][0] - 1))
            at = other[ahead][1] + 1
            ahead += 1
        if at <= last:
            left.append((at, last))
    return tuple(left)


def of_sequences(sequences: Iterable[int]) -> Ranges:
    """The set of single sequences."""
    return normalise((seq, seq) for seq in sequences)


def count(ranges: Ranges) -> int:
    """How many sequences are in it."""
    return sum(last - first + 1 for first, last in ranges)
