"""What is under way: sent, and not yet covered by a receipt. Pure bookkeeping; times are monotonic milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bedside_agent.buffer.ranges import NOTHING, Range, Ranges, count, normalise, subtract, union
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import UpLane

SLOWEST = 6
"""Times that the time-out is taken, at most, while no receipt comes at all."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One batch under way. `sequences` shrinks as receipts cover it.

    `due_ms` is None until the broker has acknowledged it: what is still on its way to the broker would not come there
    sooner by being sent once more.
    """

    number: int
    store_number: int
    store_id: str
    lane: UpLane
    sequences: Ranges
    sha256: str
    size_bytes: int
    due_ms: int | None = None


@dataclass(slots=True)
class InFlight:
    """Bounds what is under way and says what is overdue. Alarms have a bound of their own: nothing holds them up."""

    window_bytes: int
    timeout_ms: int
    batches: list[Sent] = field(default_factory=list)
    fruitless: int = 0

    def has_room(self, lane: UpLane) -> bool:
        """Whether another batch of the lane may leave; the window may be exceeded by that one batch."""
        alarms = lane is UpLane.ALARMS
        return self.bytes_under_way(alarms=alarms) < self.window_bytes

    def bytes_under_way(self, *, alarms: bool) -> int:
        """Bytes of the alarms lane, or of all others."""
        return sum(one.size_bytes for one in self.batches if (one.lane is UpLane.ALARMS) is alarms)

    def taken(self, store_number: int, lane: UpLane) -> Ranges:
        """Sequences of one lane of one store that are under way."""
        mine = (one for one in self.batches if one.store_number == store_number and one.lane is lane)
        return normalise(piece for one in mine for piece in one.sequences)

    def add(self, batch: Sent) -> None:
        """A batch has left."""
        self.batches.append(batch)

    def at_broker(self, number: int, now_ms: int) -> None:
        """The broker has that batch: its receipt is waited for from now on."""
        self.batches = [
            replace(one, due_ms=self._due_for(one.lane, now_ms)) if one.number == number else one
            for one in self.batches
        ]

    def _due_for(self, lane: UpLane, now_ms: int) -> int:
        """A silent cloud is asked ever less often, but not about alarms."""
        patience = 1 if lane is UpLane.ALARMS else min(SLOWEST, 2**self.fruitless)
        return now_ms + self.timeout_ms * patience

    def settle(self, receipt: Receipt) -> None:
        """A receipt has come: what it covers is not under way any more."""
        if receipt.asked_monotonic_ms is None:
            self.fruitless = 0
        covered = normalise((*receipt.stored, *((item.seq, item.seq) for item in receipt.rejected)))
        left = []
        for one in self.batches:
            if one.store_id == receipt.store_id and one.lane is receipt.lane:
                one = replace(one, sequences=subtract(one.sequences, covered))
            if one.sequences:
                left.append(one)
        self.batches = left

    def undecodable(self, sha256: str) -> Sent | None:
        """The batch whose body the cloud could not read, taken off the list; None if it is not under way."""
        found = next((one for one in self.batches if one.sha256 == sha256), None)
        if found is not None:
            self.batches.remove(found)
        return found

    def overdue(self, now_ms: int) -> list[Sent]:
        """Batches whose time is over, taken off the list: their items wait again."""
        late = [one for one in self.batches if one.due_ms is not None and one.due_ms <= now_ms]
        if late:
            self.fruitless = min(self.fruitless + 1, SLOWEST)
            self.batches = [one for one in self.batches if one not in late]
        return late

    def next_due_ms(self) -> int | None:
        """When the next batch is overdue."""
        return min((one.due_ms for one in self.batches if one.due_ms is not None), default=None)

    def clear(self) -> None:
        """The connection is gone, and with it what was under way."""
        self.batches.clear()
        self.fruitless = 0


@dataclass(slots=True)
class Suspects:
    """Items of bodies that the cloud could not read: sent again in halves, and as a gap when one alone is left."""

    pieces: dict[tuple[int, UpLane], list[Ranges]] = field(default_factory=dict)
    hopeless: dict[tuple[int, UpLane], Ranges] = field(default_factory=dict)

    def split(self, batch: Sent) -> None:
        """Send the items of this batch again, in two batches."""
        key = (batch.store_number, batch.lane)
        if count(batch.sequences) <= 1:
            self.give_up(key, batch.sequences)
        else:
            # In front: what they were cut from may still stand behind them, and would come back uncut.
            self.pieces[key] = [*_halves(batch.sequences), *self.pieces.get(key, [])]

    def give_up(self, key: tuple[int, UpLane], sequences: Ranges) -> None:
        """These items go as a gap from now on."""
        self.hopeless[key] = union(self.hopeless.get(key, NOTHING), sequences)

    def next_piece(self, key: tuple[int, UpLane], waiting: Ranges) -> Range | None:
        """The next piece of which something still waits: a batch may not reach beyond it."""
        pieces = self.pieces.get(key, [])
        while pieces:
            piece = pieces[0]
            left = subtract(piece, subtract(piece, waiting))
            if left:
                return left[0]
            pieces.pop(0)
        return None

    def is_hopeless(self, key: tuple[int, UpLane], seq: int) -> bool:
        """Whether this item goes as a gap."""
        return any(first <= seq <= last for first, last in self.hopeless.get(key, NOTHING))


def _halves(sequences: Ranges) -> Sequence[Ranges]:
    half = count(sequences) // 2
    left: list[Range] = []
    for first, last in sequences:
        if half <= 0:
            break
        left.append((first, min(last, first + half - 1)))
        half -= left[-1][1] - first + 1
    return tuple(left), subtract(sequences, tuple(left))
