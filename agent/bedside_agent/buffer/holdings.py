"""What the open store knows of its lanes without asking the disk: shelves, their age, unsaved receipts. Pure."""

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bedside_agent.buffer import retention
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import LANES, Group, Kept, Mark
from bedside_agent.buffer.ranges import Range, Ranges, normalise, subtract
from bedside_agent.buffer.rescue import Saved
from bedside_agent.buffer.shelf import Shelf
from bedside_profiles.wire.topics import UpLane

ShelfKey = tuple[int, UpLane]


class Holdings:
    """`number` is the present opening's store: the only one that grows."""

    def __init__(self, number: int, kept: Iterable[Kept], *, is_salvaging: bool = False) -> None:
        """`is_salvaging`: a damaged file may still hold what is not in this one."""
        self._number = number
        self._shelves: dict[ShelfKey, Shelf] = {}
        self._ages: dict[ShelfKey, retention.Age] = {}
        self._unsaved: set[ShelfKey] = set()
        found = tuple(kept)
        openings = sorted({(one.number, one.opened_hub_ms) for one in found})
        closed = {number: later[1] for (number, _), later in itertools.pairwise(openings)}
        for one in found:
            key = (one.number, one.lane)
            marks = tuple([(mark.last_seq, mark.hub_ms) for mark in one.marks])
            shelf = Shelf(one.number, one.store_id, one.lane, one.first, one.last, one.settled)
            self._shelves[key] = shelf if is_salvaging else _reaching(shelf, one)
            self._ages[key] = retention.Age(marks, closed.get(one.number))

    def shelves(self) -> tuple[Shelf, ...]:
        """Every lane of every store, alarms first, oldest store first."""
        return tuple(sorted(self._shelves.values(), key=lambda shelf: (LANES.index(shelf.lane), shelf.number)))

    def waiting(self) -> dict[UpLane, int]:
        """How many items of each lane no receipt covers."""
        counts = dict.fromkeys(LANES, 0)
        for shelf in self._shelves.values():
            counts[shelf.lane] += shelf.waiting_count()
        return counts

    def missing(self, key: ShelfKey, ranges: Ranges) -> None:
        """There are no rows; a damaged file may still hold them."""
        self._shelves[key] = self._shelves[key].missing(ranges)

    def let_go(self, key: ShelfKey, ranges: Ranges) -> None:
        """The rows were deleted: receipts covered them."""
        self._shelves[key] = self._shelves[key].let_go(ranges)

    def found(self, saved: Iterable[Saved], opened_hub_ms: int) -> None:
        """Items of earlier stores are there again: all else of what lies between them may still be found."""
        ranges: dict[ShelfKey, list[Range]] = defaultdict(list)
        for one in saved:
            ranges[one.number, one.lane].append(one.range)
            for lane in LANES:
                key = (one.number, lane)
                self._shelves.setdefault(key, Shelf(one.number, one.store_id, lane))
                # When it was closed is not known: at the latest when this opening began.
                self._ages.setdefault(key, retention.Age((), opened_hub_ms))
        for key, these in ranges.items():
            self._shelves[key] = self._shelves[key].found(normalise(these))

    def present(self, lane: UpLane, range_: Range) -> None:
        """These items of the present opening can be fetched: they are on the disk, or adrift."""
        key = (self._number, lane)
        self._shelves[key] = self._shelves[key].found((range_,))

    # Commits -----------------------------------------------------------------------------------------------------

    def advance(self, group: Group) -> None:
        """The group is on the disk."""
        for lane, items in group.by_lane().items():
            if items:
                self.present(lane, (span(items[0])[0], span(items[-1])[1]))
        for lane, mark in group.marks.items():
            key = (self._number, lane)
            age = self._ages[key]
            self._ages[key] = replace(age, marks=(*age.marks, (mark.last_seq, mark.hub_ms)))

    def add_marks(self, group: Group, hub_ms: int) -> None:
        """Have the group write down how old each lane's newest item is, where that is due."""
        items = group.by_lane()
        for lane in LANES:
            age = self._ages[self._number, lane]
            # An alarm commits alone, and its lane's mark comes with the next group.
            newest = span(items[lane][-1])[1] if items[lane] else self._shelves[self._number, lane].last
            if newest and retention.is_mark_due(age.marks[-1][1] if age.marks else None, hub_ms):
                group.marks[lane] = Mark(newest, hub_ms)

    # Receipts ----------------------------------------------------------------------------------------------------

    @property
    def has_unsaved_receipts(self) -> bool:
        """Whether a receipt said something that is not yet on the disk."""
        return bool(self._unsaved)

    def settle(self, store_id: str, lane: UpLane, ranges: Iterable[Range]) -> None:
        """The cloud holds these, or refused them for good. What is not ours is not looked at."""
        for key, shelf in self._shelves.items():
            if shelf.store_id == store_id and shelf.lane is lane:
                settled = shelf.settle(ranges)
                if settled is not shelf:
                    self._shelves[key] = settled
                    self._unsaved.add(key)
                return

    def unsettle(self) -> None:
        """The cloud lost its database: nothing is known to be stored."""
        self._shelves = {key: shelf.unsettle() for key, shelf in self._shelves.items()}
        self._unsaved.clear()

    def add_settled(self, group: Group) -> None:
        """Have the group write down what receipts said."""
        group.settled.update({key: self._shelves[key].settled for key in self._unsaved})
        self._unsaved.clear()

    # Retention ---------------------------------------------------------------------------------------------------

    def deletable(self, shelf: Shelf, hub_ms: int) -> Ranges:
        """What is stored in the cloud, old enough to go, and still there."""
        age = self._ages[shelf.number, shelf.lane]
        return subtract(retention.deletable(shelf.settled, shelf.last, age, hub_ms), shelf.without_rows())

    def forget_marks(self, key: ShelfKey, hub_ms: int) -> int | None:
        """Forget the marks that no decision needs any more; the sequence below which they lie, None if there are none.

        The newest of the old ones is still needed.
        """
        old = [seq for seq, at in self._ages[key].marks if at <= hub_ms - retention.KEEP_MS]
        if not old[1:]:
            return None
        marks = tuple([mark for mark in self._ages[key].marks if mark[0] >= old[-1]])
        self._ages[key] = replace(self._ages[key], marks=marks)
        return old[-1]

    def forgettable_stores(self, hub_ms: int) -> tuple[int, ...]:
        """Earlier openings' stores that hold nothing any more, and of which a gap will hardly ever be asked for."""
        earlier = {number for number, _ in self._shelves} - {self._number}
        empty = [number for number in sorted(earlier) if all(map(_is_empty, self._of(number)))]
        few = len(empty) - retention.MOST_REMEMBERED
        return tuple(
            [
                number
                for place, number in enumerate(empty)
                if place < few
                or self._is_long_closed(number, hub_ms)
                or not any(shelf.last for shelf in self._of(number))
            ]
        )

    def _is_long_closed(self, number: int, hub_ms: int) -> bool:
        closed = self._ages[number, LANES[0]].closed_hub_ms
        return closed is not None and closed <= hub_ms - retention.REMEMBER_MS

    def forget_store(self, number: int) -> None:
        """It holds nothing, and will not."""
        for lane in LANES:
            key = (number, lane)
            del self._shelves[key], self._ages[key]
            self._unsaved.discard(key)

    def _of(self, number: int) -> list[Shelf]:
        return [self._shelves[number, lane] for lane in LANES]


def _is_empty(shelf: Shelf) -> bool:
    """Whether nothing of it is on the disk, and no gap waits."""
    return not shelf.waiting() and not subtract(normalise([(shelf.first, shelf.last)]), shelf.without_rows())


def _reaching(shelf: Shelf, kept: Kept) -> Shelf:
    """The shelf with all that its store ever had: sequences begin at 1, and what no row holds was deleted."""
    ends = [kept.last, *(last for _, last in kept.settled), *(mark.last_seq for mark in kept.marks)]
    last = max(ends)
    rows = normalise([(kept.first, kept.last)])
    return replace(shelf, first=1, last=last, gone=subtract(normalise([(1, last)]), rows))
