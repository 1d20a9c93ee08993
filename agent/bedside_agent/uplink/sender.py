"""What goes up next: alarms, then live readings, then events, then the backlog, within a window that receipts empty."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bedside_agent.buffer.ranges import Range, Ranges, count, intersect, subtract
from bedside_agent.buffer.shelf import Shelf
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock
from bedside_agent.uplink.pacing import Allowance, Pace
from bedside_agent.uplink.packing import Packed, pack
from bedside_agent.uplink.receipts import InFlight, Sent, Suspects
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import UpLane

T = TypeVar("T")
ENDLESS = 2**62

FIRST_ITEM_BYTES = 32
"""What an item takes in a batch, before any was sent."""

MOST_ROWS = 2048
"""Items that are read for one batch: what the sender holds in memory does not grow with the backlog."""

NO_LIMIT = 100_000_000
"""Bytes a second: more than any link that a hub has."""

TIME_PATIENCE_MS = {UpLane.ALARMS: 1_000, UpLane.READINGS: 15_000, UpLane.EVENTS: 15_000, UpLane.WAVEFORMS: 15_000}
"""How long items wait, once connected, for the hub to learn the time. The cloud says it in its first answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`batch_bytes` bounds one batch, `window_bytes` all that are under way; no receipt in time: sent again.

    `bytes_per_second` bounds what leaves in the long run, alarms excepted.
    """

    batch_bytes: int = 16 * 1024
    window_bytes: int = 48 * 1024
    receipt_timeout_ms: int = 10_000
    bytes_per_second: int = NO_LIMIT


class Times(Clock, Protocol):
    """A clock that may learn the time late, and then times what was taken before."""

    @property
    def knows_time(self) -> bool:
        """Whether what the store holds can be timed."""
        ...

    def timed(self, item: T) -> T:
        """The item with the best time that can be said of it now."""
        ...


Publish = Callable[[UpLane, bytes, Callable[[], None]], None]
"""Must not wait: an alarm that is committed meanwhile has to be able to follow at once. The callable is called when
the broker has acknowledged, and never when the connection ended before."""


class Sender:
    """Belongs to one event loop. `wake` is called when there may be more to send."""

    def __init__(self, store: Store, clock: Times, hub_id: str, limits: Limits) -> None:
        self.in_flight = InFlight(limits.window_bytes, limits.receipt_timeout_ms)
        self._store = store
        self._clock = clock
        self._hub_id = hub_id
        self._limits = limits
        self._pace = Pace(limits.batch_bytes, limits.window_bytes)
        self._allowance = Allowance(limits.bytes_per_second)
        self._numbers = itertools.count(1)
        self._item_bytes = float(FIRST_ITEM_BYTES)
        self._suspects = Suspects()
        self._live_from = 1
        self._connected_ms = 0
        self._something = asyncio.Event()

    async def run(self, publish: Publish) -> None:
        """Send over one connection until cancelled. What an earlier one had under way counts as not sent."""
        self.connected()
        while True:
            self._something.clear()
            await self.send_what_fits(publish)
            await self._rest()

    def connected(self) -> None:
        """A connection begins: nothing is under way on it yet."""
        self.in_flight.clear()
        self._pace.begin()
        self._connected_ms = self._clock.now().monotonic_ms
        self._begin_live()

    async def send_what_fits(self, publish: Publish) -> None:
        """Send until the window is full or nothing waits."""
        if self.in_flight.overdue(self._clock.now().monotonic_ms):
            # Else hours of a silent cloud would all count as live, and the newest readings come last.
            self._begin_live()
        while await self._send_one(publish):
            pass

    def wake(self) -> None:
        """Something was committed, or a receipt made room."""
        self._something.set()

    async def alarm_waits(self) -> None:
        """Return as soon as there is an alarm that no receipt covers. Not while `run` runs."""
        while not self._store.waiting()[UpLane.ALARMS]:
            self._something.clear()
            await self._something.wait()

    def receive(self, receipt: Receipt) -> bool:
        """Apply a receipt; True when the cloud's database is another one than before."""
        rewound = self._store.apply_receipt(receipt)
        self.in_flight.settle(receipt)
        for body in receipt.undecodable:
            batch = self.in_flight.undecodable(body.sha256)
            if batch is not None:
                self._suspects.split(batch)
        self.wake()
        return rewound

    async def _send_one(self, publish: Publish) -> bool:
        for shelf, wanted in self._candidates():
            most_bytes = self._batch_bytes(shelf.lane)
            rows = max(1, min(MOST_ROWS, int(1.1 * most_bytes / self._item_bytes)))
            items = await self._store.fetch(shelf, wanted, rows)
            if not items:
                return True  # The fetch has taken the hole off the list: look again.
            key = (shelf.number, shelf.lane)
            packed = pack(
                self._hub_id,
                shelf.store_id,
                shelf.lane,
                [self._clock.timed(item) for item in items],
                lambda seq, key=key: self._suspects.is_hopeless(key, seq),  # type: ignore[misc]
                most_bytes,
            )
            self._suspects.give_up(key, packed.given_up)
            self._leave(shelf, packed, publish)
            return True
        return False

    def _leave(self, shelf: Shelf, packed: Packed, publish: Publish) -> None:
        now_ms = self._clock.now().monotonic_ms
        number, size_bytes = next(self._numbers), len(packed.body)
        batch = Sent(number, shelf.number, shelf.store_id, shelf.lane, packed.sequences, packed.sha256, size_bytes)
        self.in_flight.add(batch)
        departure = self._pace.leave(size_bytes, now_ms)
        if shelf.lane is not UpLane.ALARMS:
            self._allowance.spend(size_bytes, now_ms)
        if shelf.lane is UpLane.READINGS:
            self._item_bytes += (size_bytes / count(packed.sequences) - self._item_bytes) / 8

        def acknowledged() -> None:
            now_ms = self._clock.now().monotonic_ms
            self._pace.arrive(departure, now_ms)
            self.in_flight.at_broker(number, now_ms)
            self.wake()

        publish(shelf.lane, packed.body, acknowledged)

    def _batch_bytes(self, lane: UpLane) -> int:
        paced = min(self._limits.batch_bytes, self._pace.batch_bytes)
        return paced if lane is UpLane.ALARMS else min(paced, self._allowance.batch_bytes)

    def _may_leave(self, lane: UpLane, now_ms: int) -> bool:
        if not self.in_flight.has_room(lane):
            return False
        return lane is UpLane.ALARMS or (self._pace.has_room(now_ms) and self._allowance.ready_ms(now_ms) <= now_ms)

    def _candidates(self) -> Iterator[tuple[Shelf, Range]]:
        """What may leave now, most urgent first: a shelf and a range of it in which something waits."""
        shelves = self._store.shelves()
        present = self._store.store_id
        now_ms = self._clock.now().monotonic_ms
        live = ((self._live_from, ENDLESS),)
        everything = ((1, ENDLESS),)
        by_lane = {lane: [shelf for shelf in shelves if shelf.lane is lane] for lane in UpLane}
        readings = by_lane[UpLane.READINGS]
        order: list[tuple[Shelf, Ranges]] = [(shelf, everything) for shelf in by_lane[UpLane.ALARMS]]
        order += [(shelf, live) for shelf in readings if shelf.store_id == present]
        order += [(shelf, everything) for shelf in by_lane[UpLane.EVENTS]]
        order += [(shelf, everything) for shelf in readings]
        order += [(shelf, everything) for shelf in by_lane[UpLane.WAVEFORMS]]
        for shelf, part in order:
            if not self._may_leave(shelf.lane, now_ms) or self._time_wait_ms(shelf.lane) > 0:
                continue
            waiting = subtract(shelf.waiting(), self.in_flight.taken(shelf.number, shelf.lane))
            wanted = intersect(waiting, part)
            if wanted:
                piece = self._suspects.next_piece((shelf.number, shelf.lane), waiting)
                yield shelf, piece or wanted[0]

    def _time_wait_ms(self, lane: UpLane) -> int:
        """How long the lane still waits for the hub to learn the time."""
        if self._clock.knows_time:
            return 0
        return self._connected_ms + TIME_PATIENCE_MS[lane] - self._clock.now().monotonic_ms

    def _begin_live(self) -> None:
        for shelf in self._store.shelves():
            if shelf.store_id == self._store.store_id and shelf.lane is UpLane.READINGS:
                self._live_from = shelf.last + 1

    async def _rest(self) -> None:
        now_ms = self._clock.now().monotonic_ms
        moments = [self.in_flight.next_due_ms()]
        if (ready_ms := self._allowance.ready_ms(now_ms)) > now_ms:
            moments.append(ready_ms)
        moments += [now_ms + wait for lane in TIME_PATIENCE_MS if (wait := self._time_wait_ms(lane)) > 0]
        next_ms = min((moment for moment in moments if moment is not None), default=None)
        seconds = None if next_ms is None else max(0.0, (next_ms - now_ms) / 1000)
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            # A batch is overdue, the allowance has grown, or a lane has waited for the time long enough.
            return

    def under_way(self) -> int:
        """Items sent and not yet covered by a receipt."""
        return sum(count(one.sequences) for one in self.in_flight.batches)
