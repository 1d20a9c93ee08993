"""Making room when the disk is full, one small transaction at a time; what goes is decided in `retention.py`."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from bedside_agent.buffer import retention
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Item
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.ranges import NOTHING, Ranges, normalise, subtract, union
from bedside_agent.buffer.shelf import Shelf
from bedside_agent.buffer.tables import Stored
from bedside_agent.clock import Instant
from bedside_profiles.readings import Reading
from bedside_profiles.wire.events import Gap, GapReason
from bedside_profiles.wire.topics import UpLane

THINNED = "buffer.thinned"
"""Named value: `store:sequence`, up to which readings are thinned already."""

ROWS = 50
"""Rows in one step, about 2,000 readings: an alarm waits for one step at most."""

SLICES = 4


class RoomMaker:
    """Blocks, and runs on the database's thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thinned = _parse(database.state().get(THINNED))
        self._dropped: dict[tuple[int, UpLane], int] = {}

    def step(self, shelves: Sequence[Shelf], now: Instant) -> tuple[Shelf, Ranges] | None:
        """Let something go: from which shelf, and which sequences are gone without a trace (the cloud holds them).

        None when there is nothing left that may go. StoreWriteError when the disk refuses even that. What receipts said
        is on the disk before anything goes because of it: later nothing else tells that it was ever there.
        """
        if self._database.drop_salvaged() and shelves:
            return shelves[0], NOTHING
        rising = sorted(shelves, key=lambda shelf: shelf.number)
        by_lane = {lane: [shelf for shelf in rising if shelf.lane is lane] for lane in retention.EXPENDABLE}
        return (
            self._let_stored_go(by_lane)
            or self._drop(by_lane[UpLane.WAVEFORMS])
            or self._thin(by_lane[UpLane.READINGS], now)
            or self._drop([shelf for lane in retention.EXPENDABLE for shelf in by_lane[lane]])
        )

    def _let_stored_go(self, by_lane: Mapping[UpLane, Sequence[Shelf]]) -> tuple[Shelf, Ranges] | None:
        for lane in retention.EXPENDABLE:
            for shelf in by_lane[lane]:
                whole = subtract(shelf.settled, shelf.without_rows())
                gone = NOTHING
                if whole:
                    self._database.settle(shelf.number, lane, shelf.settled)
                for part in retention.slices(whole):
                    gone = union(gone, self._database.delete(shelf.number, lane, part, whole))
                    if len(gone) >= SLICES:
                        break
                if gone:
                    return shelf, gone
        return None

    def _thin(self, shelves: Sequence[Shelf], now: Instant) -> tuple[Shelf, Ranges] | None:
        for shelf in shelves:
            number, seq = self._thinned
            if shelf.number < number:
                continue
            start = seq + 1 if shelf.number == number else shelf.first
            found = self._database.stretch(shelf.number, shelf.lane, start, ROWS)
            rows = tuple(takewhile(lambda row: not _is_fresh(row, now), found))
            if not rows:
                continue
            items = retention.unsettled(_items(rows, shelf), shelf.settled)
            stay = {span(one) for one in retention.thin([one for one in items if isinstance(one, Reading)])}
            new = [one if span(one) in stay else retention.gap_for(one) for one in items]
            self._thinned = shelf.number, rows[-1].last
            mark = {THINNED: f"{shelf.number}:{rows[-1].last}".encode()}
            return shelf, self._put(shelf, rows, new, mark)
        return None

    def _drop(self, shelves: Sequence[Shelf]) -> tuple[Shelf, Ranges] | None:
        for shelf in shelves:
            for rows in self._stretches(shelf):
                items = retention.unsettled(_items(rows, shelf), shelf.settled)
                new = retention.joined(retention.gap_for(item) for item in items)
                if len(new) < len(rows) or new != tuple(items):
                    if new:
                        # The next stretch begins with this gap, so that what goes then makes it longer.
                        self._dropped[shelf.number, shelf.lane] = span(new[-1])[0]
                    return shelf, self._put(shelf, rows, new, {})
        return None

    def _stretches(self, shelf: Shelf) -> Iterator[tuple[Stored, ...]]:
        start = self._dropped.get((shelf.number, shelf.lane), shelf.first)
        while rows := self._database.stretch(shelf.number, shelf.lane, start, ROWS):
            yield rows
            start = rows[-1].last + 1

    def _put(self, shelf: Shelf, rows: Sequence[Stored], new: Sequence[Item], state: Mapping[str, bytes]) -> Ranges:
        joined = retention.joined(new)
        if shelf.settled:
            self._database.settle(shelf.number, shelf.lane, shelf.settled)
        self._database.replace(shelf.number, shelf.store_id, shelf.lane, rows, joined, state)
        before = normalise((row.first, row.last) for row in rows)
        return subtract(before, normalise(span(item) for item in joined))


def _items(rows: Sequence[Stored], shelf: Shelf) -> list[Item]:
    """What the rows hold; of a damaged one, the gaps that are left of it."""
    found: list[Item] = []
    for row in rows:
        if row.bundle is not None:
            found += row.bundle.items
            continue
        lost = subtract(subtract(((row.first, row.last),), shelf.settled), shelf.without_rows())
        found += [Gap(first, last, last - first + 1, GapReason.STORE_CORRUPT) for first, last in lost]
    return found


def _is_fresh(row: Stored, now: Instant) -> bool:
    return row.bundle is not None and retention.is_fresh(row.bundle.items[-1], now.boot_id, now.monotonic_ms)


def _parse(mark: bytes | None) -> tuple[int, int]:
    number, _, seq = (mark or b"0:0").partition(b":")
    return int(number), int(seq)
