"""What of a gap is news: a hub may send it again inside a longer one, when its receipt was lost. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from bedside_cloud.ingest.ranges import Pair, Settled, joined
from bedside_profiles.wire.events import Gap


def new_part(gaps: Iterable[Gap], settled: tuple[Pair, ...]) -> list[Gap]:
    """The parts of `gaps` that nothing has settled yet, disjoint, so that their counts add up to what was lost.

    `settled` is rising and joined. A settled sequence is taken for one that held an item: of a gap that stands for
    fewer items than sequences, the parts may then count too few, never too many.
    """
    found: list[Gap] = []
    for gap in gaps:
        parts = list(_parts(gap, Settled(settled)))
        settled = joined((*settled, *((part.first_seq, part.last_seq) for part in parts)))
        found += parts
    return found


def _parts(gap: Gap, settled: Settled) -> Iterator[Gap]:
    left = settled.open_part(gap.first_seq, gap.last_seq)
    known = gap.last_seq - gap.first_seq + 1 - sum(last - first + 1 for first, last in left)
    items = max(0, gap.count - known)
    for first, last in left:
        here = min(items, last - first + 1)
        items -= here
        yield replace(gap, first_seq=first, last_seq=last, count=here)
