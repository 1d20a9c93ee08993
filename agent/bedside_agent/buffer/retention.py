"""What may be deleted: items that a receipt covers and that are old enough. Pure.

Age is the hub's own running time, so that a wrong wall clock can neither delete too early nor keep for ever; time
during which the hub was off does not count. Nothing that no receipt covers is ever deleted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_agent.buffer.ranges import Ranges, intersect, normalise

KEEP_MS = 72 * 3_600_000
"""A cloud that is restored from last night's backup finds all of yesterday still on the hub."""

MARK_EVERY_MS = 600_000
SLICE = 2_000
"""Rows in one DELETE: an alarm that is to be committed never waits for a longer one."""


@dataclass(frozen=True, slots=True)
class Age:
    """How old one lane of a store is: (newest sequence, running time) pairs, and when the next store was opened."""

    marks: Sequence[tuple[int, int]]
    closed_hub_ms: int | None


def deletable(settled: Ranges, last: int, age: Age, now_hub_ms: int, keep_ms: int = KEEP_MS) -> Ranges:
    """The sequences that may go at `now_hub_ms`."""
    before = now_hub_ms - keep_ms
    if age.closed_hub_ms is not None and age.closed_hub_ms <= before:
        newest = last
    else:
        newest = max((seq for seq, hub_ms in age.marks if hub_ms <= before), default=0)
    return intersect(settled, normalise([(1, newest)]))


def slices(ranges: Ranges, rows: int = SLICE) -> list[tuple[int, int]]:
    """The same sequences in pieces of at most `rows`."""
    return [(at, min(at + rows - 1, last)) for first, last in ranges for at in range(first, last + 1, rows)]


def is_mark_due(marked_hub_ms: int | None, now_hub_ms: int) -> bool:
    """Whether to write down how old a lane's newest item is; a lane without a mark is due at once."""
    return marked_hub_ms is None or now_hub_ms - marked_hub_ms >= MARK_EVERY_MS
