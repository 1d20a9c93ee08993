"""What the hub knows of one lane of one store: which sequences it has, and which of them a receipt covers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bedside_agent.buffer.ranges import NOTHING, Range, Ranges, count, intersect, normalise, subtract, union
from bedside_profiles.wire.topics import UpLane


@dataclass(frozen=True, slots=True)
class Shelf:
    """`first` to `last` are on the disk (nothing while `last` is below `first`), except what is `absent`.

    `settled` never reaches beyond `last`: a receipt cannot settle what was not yet written, or sent from memory.
    """

    number: int
    store_id: str
    lane: UpLane
    first: int = 1
    last: int = 0
    settled: Ranges = NOTHING
    absent: Ranges = NOTHING

    def waiting(self) -> Ranges:
        """What no receipt covers."""
        return subtract(subtract(self._all(), self.settled), self.absent)

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
        return replace(self, first=first, last=last, absent=subtract(union(self.absent, new), ranges))

    def missing(self, ranges: Ranges) -> "Shelf":
        """After a look that found no rows there: they were deleted before, and will never be sent."""
        return replace(self, absent=union(self.absent, ranges))

    def _all(self) -> Ranges:
        return normalise([(self.first, self.last)])
