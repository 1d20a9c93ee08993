"""What the hub knows of one lane of one store: which sequences it has, and which of them a receipt covers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bedside_agent.buffer.ranges import NOTHING, Range, Ranges, count, intersect, normalise, subtract, union
from bedside_profiles.wire.topics import UpLane


@dataclass(frozen=True, slots=True)
class Shelf:
    """`first` to `last` are on the disk (nothing while `last` is below `first`), with two exceptions.

    `absent`: not there yet, or not yet found in a damaged file. `gone`: deleted after a receipt had covered it; it
    waits again when the cloud has lost its database since, and is sent as a gap.
    `settled` never reaches beyond `last`: a receipt cannot settle what was not yet written, or sent from memory.
    """

    number: int
    store_id: str
    lane: UpLane
    first: int = 1
    last: int = 0
    settled: Ranges = NOTHING
    absent: Ranges = NOTHING
    gone: Ranges = NOTHING

    def waiting(self) -> Ranges:
        """What no receipt covers."""
        return subtract(self.committed(), self.settled)

    def waiting_count(self) -> int:
        """How many items no receipt covers."""
        return count(self.waiting())

    def settle(self, ranges: Iterable[Range]) -> "Shelf":
        """After a receipt. What an older receipt named stays: receipts may arrive in any order."""
        settled = union(self.settled, intersect(normalise(ranges), normalise([(1, self.last)])))
        return self if settled == self.settled else replace(self, settled=settled)

    def unsettle(self) -> "Shelf":
        """After the cloud lost its database: nothing is known to be stored."""
        return replace(self, settled=NOTHING)

    def found(self, ranges: Ranges) -> "Shelf":
        """There is something where nothing was known to be: after a commit, or when it is saved from a damaged store.

        What lies between is not there yet.
        """
        before = self._all()
        first, last = ranges[0][0], ranges[-1][1]
        if before:
            first, last = min(first, self.first), max(last, self.last)
        new = subtract(((first, last),), before)
        absent, gone = subtract(union(self.absent, new), ranges), subtract(self.gone, ranges)
        return replace(self, first=first, last=last, absent=absent, gone=gone)

    def missing(self, ranges: Ranges) -> "Shelf":
        """After a look that found no rows there, while a damaged file may still hold them: they are not sent yet."""
        return replace(self, absent=union(self.absent, ranges))

    def let_go(self, ranges: Ranges) -> "Shelf":
        """After a delete: a receipt covered these."""
        return replace(self, gone=union(self.gone, ranges))

    def committed(self) -> Ranges:
        """What was once on the disk, or is sent from memory until it is."""
        return subtract(self._all(), self.absent)

    def without_rows(self) -> Ranges:
        """Sequences that are known not to be on the disk."""
        return union(self.absent, self.gone)

    def _all(self) -> Ranges:
        return normalise([(self.first, self.last)])
