"""The open store: appends that resolve after their commit, what waits for a receipt, and named state.

All SQLite work runs on one thread. Sequences are given out here, on the event loop, so that an alarm can name the
readings it was raised from before either is on the disk.
"""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bedside_agent.buffer import retention
from bedside_agent.buffer.bundles import Item, span
from bedside_agent.buffer.contents import LANES, Damaged, Group, Kept, Mark
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.pending import Pending, window_seconds
from bedside_agent.buffer.ranges import Range, Ranges, count, normalise, subtract
from bedside_agent.buffer.room import RoomMaker
from bedside_agent.buffer.salvage import Salvage
from bedside_agent.buffer.shelf import Shelf
from bedside_agent.clock import Clock
from bedside_agent.errors import StoreFullError, StoreWriteError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, EventField
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import UpLane

log = logging.getLogger(__name__)

T = TypeVar("T")
GENERATION = "cloud.generation"
RETRY_SECONDS = 1.0
"""Between two attempts of a commit that failed: a full disk is looked at often, not in a busy loop."""

SETTLED_EVERY_MS = 5_000
"""Receipts are written down together: losing the last five seconds of them only sends those items again."""

ShelfKey = tuple[int, UpLane]


class Store:
    """One opening of the buffer. `committed` is called on the event loop after each commit of items."""

    def __init__(self, database: Database, clock: Clock, store_id: str, commit_window_ms: int) -> None:
        self.store_id = store_id
        self.failing: StoreWriteError | None = None
        self.committed: Callable[[], None] = lambda: None
        self._database = database
        self._clock = clock
        self._window_seconds = commit_window_ms / 1000
        self._thread = ThreadPoolExecutor(1, "buffer")
        self._pending = Pending()
        self._room = RoomMaker(database)
        self._making_room = False
        self._next: dict[UpLane, int] = dict.fromkeys(LANES, 1)
        self._state: dict[str, bytes] = {}
        self._shelves: dict[ShelfKey, Shelf] = {}
        self._ages: dict[ShelfKey, retention.Age] = {}
        self._unsaved: set[ShelfKey] = set()
        self._saved_ms = 0
        self._hub_base_ms = 0
        self._writer: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, commit_window_ms: int = 200) -> "Store":
        """Open or make the store at `path`. Readings are on the disk `commit_window_ms` after they came."""
        store_id = secrets.token_hex(16)
        database = await asyncio.to_thread(Database, path, store_id)
        store = cls(database, clock, store_id, commit_window_ms)
        await store._load()
        store._writer = asyncio.create_task(store._write(), name="buffer writer")
        if database.salvage is not None:
            store._report(database.salvage)
        return store

    async def close(self) -> None:
        """Commit what is pending, once, and close the file."""
        if self._writer is not None:
            self._pending.close()
            await self._writer
        await self._on_thread(self._database.close)
        self._thread.shutdown()

    async def watch(self) -> None:
        """Return when the store closes; raise what ended its writer, for then nothing is kept any more."""
        if self._writer is not None:
            await asyncio.shield(self._writer)

    # Appending ---------------------------------------------------------------------------------------------------

    def append_readings(self, drafts: Sequence[Reading]) -> tuple[tuple[Reading, ...], asyncio.Future[None]]:
        """Give one measurement's members their sequences and group; the future resolves after their commit."""
        first = self._next[UpLane.READINGS]
        group = first if len(drafts) > 1 else None
        readings = tuple(replace(draft, seq=first + place, group=group) for place, draft in enumerate(drafts))
        self._next[UpLane.READINGS] = first + len(readings)
        return readings, self._pending.add_readings(readings)

    def append_alarm(self, draft: Alarm, state: Mapping[str, bytes | None] = {}) -> tuple[Alarm, asyncio.Future[None]]:
        """Commit the alarm at once and alone, together with the rule `state` that made it."""
        alarm = replace(draft, seq=self._take(UpLane.ALARMS))
        self._state_now(state)
        return alarm, self._pending.add_alarm(alarm, state)

    def append_event(self, draft: Event) -> tuple[Event, asyncio.Future[None]]:
        """Keep an event; it is committed with the next group."""
        event = replace(draft, seq=self._take(UpLane.EVENTS))
        return event, self._pending.add_event(event)

    def put_state(self, values: Mapping[str, bytes | None]) -> asyncio.Future[None]:
        """Keep named values (None removes one), committed with the next group. `state` shows them at once."""
        self._state_now(values)
        return self._pending.add_state(values)

    async def room(self) -> None:
        """Wait while more is pending than the disk keeps up with."""
        await self._pending.room()

    # Reading -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[str, bytes]:
        """Every named value as last put."""
        return self._state

    def shelves(self) -> tuple[Shelf, ...]:
        """Every lane of every store, alarms first, oldest store first."""
        return tuple(sorted(self._shelves.values(), key=lambda shelf: (LANES.index(shelf.lane), shelf.number)))

    def waiting(self) -> dict[UpLane, int]:
        """How many items of each lane no receipt covers."""
        counts = dict.fromkeys(LANES, 0)
        for shelf in self._shelves.values():
            counts[shelf.lane] += shelf.waiting_count()
        return counts

    async def fetch(self, shelf: Shelf, wanted: Range, rows: int) -> tuple[Item | Damaged, ...]:
        """At most `rows` items of `wanted`. Sequences found to be absent are taken off the shelf's waiting list."""
        first, last = wanted
        items = await self._on_thread(self._database.fetch, shelf.number, shelf.lane, first, last, rows)
        spans = [(item.seq, item.seq) if isinstance(item, Damaged) else span(item) for item in items]
        seen_to = spans[-1][1] if len(items) == rows else last
        holes = subtract(((first, seen_to),), normalise(spans))
        if holes:
            key = (shelf.number, shelf.lane)
            self._shelves[key] = self._shelves[key].missing(holes)
        return items

    # Receipts ----------------------------------------------------------------------------------------------------

    def apply_receipt(self, receipt: Receipt) -> bool:
        """Settle what the cloud holds or refused for good. True when the cloud's database is another one than before.

        Then every item of every store waits again until a receipt of the new generation covers it.
        """
        known = self._state.get(GENERATION)
        generation = receipt.generation.encode()
        rewound = known is not None and known != generation
        if known != generation:
            self.put_state({GENERATION: generation})
        if rewound:
            self._shelves = {key: shelf.unsettle() for key, shelf in self._shelves.items()}
            self._unsaved.clear()
            self._pending.forget_settled()
        key = self._key(receipt)
        if key is not None:
            shelf = self._shelves[key]
            settled = shelf.settle((*receipt.stored, *((item.seq, item.seq) for item in receipt.rejected)))
            if settled is not shelf:
                self._shelves[key] = settled
                self._unsaved.add(key)
        return rewound

    def _key(self, receipt: Receipt) -> ShelfKey | None:
        for key, shelf in self._shelves.items():
            if shelf.store_id == receipt.store_id and shelf.lane is receipt.lane:
                return key
        return None

    # Retention ---------------------------------------------------------------------------------------------------

    async def retain(self) -> int:
        """Delete what is stored in the cloud and old enough; how many sequences went."""
        await self._save_settled()
        gone = 0
        for key, shelf in tuple(self._shelves.items()):
            ranges = retention.deletable(shelf.settled, shelf.last, self._ages[key], self._hub_ms())
            ranges = subtract(ranges, shelf.absent)
            for part in retention.slices(ranges):
                deleted = await self._on_thread(self._database.delete, shelf.number, shelf.lane, part, ranges)
                self._shelves[key] = self._shelves[key].missing(deleted)
                gone += count(deleted)
            old = [seq for seq, hub_ms in self._ages[key].marks if hub_ms <= self._hub_ms() - retention.KEEP_MS]
            if old[1:]:
                await self._on_thread(self._database.forget_marks, shelf.number, shelf.lane, old[-1])
                marks = tuple(mark for mark in self._ages[key].marks if mark[0] >= old[-1])
                self._ages[key] = replace(self._ages[key], marks=marks)
        await self._forget_empty_stores()
        return gone

    async def _forget_empty_stores(self) -> None:
        for number in {number for number, _ in self._shelves} - {self._database.store_number}:
            shelves = [self._shelves[number, lane] for lane in LANES]
            if all(not subtract(((shelf.first, shelf.last),), shelf.absent) for shelf in shelves):
                await self._on_thread(self._database.forget_store, number)
                for lane in LANES:
                    del self._shelves[number, lane], self._ages[number, lane]
                    self._unsaved.discard((number, lane))

    # The writer --------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        now = asyncio.get_running_loop().time
        window, committed_at = self._window_seconds, now()
        while await self._pending.due(window):
            await self._commit_alarms(None)
            group, futures = self._pending.rest()
            if self._settled_due():
                self._add_settled(group)
            if not group.is_empty():
                self._add_marks(group)
                await self._commit(group, futures)
                window = window_seconds(self._window_seconds, len(group.readings), now() - committed_at)
                committed_at = now()
                await self._keep_room()
        try:
            await self._save_settled()
        except StoreWriteError as error:
            # The items themselves are safe; what the receipts said will be said again.
            log.warning("buffer.receipts_not_saved", extra={"reason": error.what})

    async def _commit_alarms(self, delayed: Group | None) -> None:
        """Commit the alarms that came; `delayed` is a group that was taken before them and is not on the disk."""
        while alarm := self._pending.next_alarm():
            if delayed is not None:
                for name in alarm[0].state:
                    # It would else be written after, and over, the alarm's newer value.
                    delayed.state.pop(name, None)
            await self._commit(*alarm)

    async def _commit(self, group: Group, futures: list[asyncio.Future[None]]) -> None:
        """Commit, and try again while the disk refuses: nothing that was taken is given up.

        Alarms go through while readings wait for room, and into the reserve when there is no other.
        """
        urgent, attempts = bool(group.alarms), 0
        while (error := await self._refusal(group)) is not None:
            full = isinstance(error, StoreFullError)
            if full and urgent and await self._on_thread(self._database.reserve.release):
                continue
            if self._pending.closed and attempts:
                for future in futures:
                    future.cancel()
                return
            attempts += 1
            if not (full and attempts % 2 and await self._gain_room(len(group.readings))):
                await self._on_thread(self._database.reserve.refill)
                await self._pending.pause(RETRY_SECONDS)
            if not urgent:
                await self._commit_alarms(group)
        if self.failing is not None:
            log.warning("buffer.commit_works_again")
            self.failing = None
        if urgent or attempts:
            await self._on_thread(self._database.reserve.refill)
        self._advance(group)
        for future in futures:
            if not future.done():
                future.set_result(None)
        if group.readings or group.alarms or group.events:
            self.committed()

    async def _refusal(self, group: Group) -> StoreWriteError | None:
        try:
            await self._on_thread(self._database.commit, group)
        except StoreWriteError as error:
            if self.failing is None:
                log.error("buffer.commit_failed", extra={"reason": error.what})
            self.failing = error
            return error
        return None

    async def _keep_room(self) -> None:
        """Make room before the disk is full, so that a commit need not wait for it."""
        spare = await self._on_thread(self._database.spare_bytes)
        if spare >= retention.LOW_BYTES:
            await self._on_thread(self._database.reserve.refill)
            return
        while spare < retention.ENOUGH_BYTES and not await self._on_thread(self._database.is_roomy, 0):
            if not await self._make_room():
                return
            await self._commit_alarms(None)
            spare = await self._on_thread(self._database.spare_bytes)

    async def _gain_room(self, rows: int) -> bool:
        """After the disk was found full: whether another attempt may succeed.

        The reserve is given up for it: what the attempt takes of the disk is the log's, and comes back when the log is
        emptied. The rows themselves go where others were.
        """
        await self._on_thread(self._database.reserve.release)
        with contextlib.suppress(StoreWriteError):
            await self._on_thread(self._database.tidy)
        while not await self._on_thread(self._database.is_roomy, rows):
            if not await self._make_room():
                return False
        return True

    async def _make_room(self) -> bool:
        """Let one step's worth go; False when nothing may go, or the disk refuses even that."""
        try:
            step = await self._on_thread(self._room.step, self.shelves(), self._clock.now())
        except StoreFullError:
            if not await self._on_thread(self._database.reserve.release):
                return False
            try:
                return await self._make_room()
            finally:
                await self._on_thread(self._database.reserve.refill)
        except StoreWriteError as error:
            log.warning("buffer.room_not_made", extra={"reason": error.what})
            return False
        if step is None:
            return False
        shelf, gone = step
        key = (shelf.number, shelf.lane)
        self._shelves[key] = self._shelves[key].missing(gone)
        if not self._making_room:
            log.warning("buffer.makes_room")
        self._making_room = True
        return True

    def _advance(self, group: Group) -> None:
        rows: dict[UpLane, Sequence[Item]] = {
            UpLane.READINGS: group.readings,
            UpLane.ALARMS: group.alarms,
            UpLane.EVENTS: group.events,
        }
        for lane, items in rows.items():
            if items:
                key = (self._database.store_number, lane)
                self._shelves[key] = self._shelves[key].with_last(span(items[-1])[1])
        for lane, mark in group.marks.items():
            key = (self._database.store_number, lane)
            age = self._ages[key]
            self._ages[key] = replace(age, marks=(*age.marks, (mark.last_seq, mark.hub_ms)))

    def _add_marks(self, group: Group) -> None:
        last: dict[UpLane, Sequence[Item]] = {UpLane.READINGS: group.readings, UpLane.EVENTS: group.events}
        for lane in LANES:
            age = self._ages[self._database.store_number, lane]
            items = last.get(lane)
            newest = span(items[-1])[1] if items else self._shelves[self._database.store_number, lane].last
            if newest and retention.is_mark_due(age.marks[-1][1] if age.marks else None, self._hub_ms()):
                group.marks[lane] = Mark(newest, self._hub_ms())

    def _settled_due(self) -> bool:
        return bool(self._unsaved) and self._clock.now().monotonic_ms - self._saved_ms >= SETTLED_EVERY_MS

    def _add_settled(self, group: Group) -> None:
        group.settled.update({key: self._shelves[key].settled for key in self._unsaved})
        self._unsaved.clear()
        self._saved_ms = self._clock.now().monotonic_ms

    async def _save_settled(self) -> None:
        group = Group()
        self._add_settled(group)
        if not group.is_empty():
            await self._on_thread(self._database.commit, group)

    # Small things ------------------------------------------------------------------------------------------------

    def _report(self, salvage: Salvage) -> None:
        now = self._clock.now()
        fields = (
            EventField("reason", salvage.reason[:1000]),
            EventField("rows_saved", str(salvage.rows)),
            EventField("finished", "yes" if salvage.finished else "no"),
        )
        log.error("buffer.store_corrupt", extra={"reason": salvage.reason, "rows_saved": salvage.rows})
        self.append_event(Event(0, "store_corrupt", now.utc_ms, now.boot_id, now.monotonic_ms, fields=fields))

    async def _load(self) -> None:
        kept = await self._on_thread(self._database.kept)
        self._state = dict(await self._on_thread(self._database.state))
        self._hub_base_ms = self._database.hub_ms - self._clock.now().monotonic_ms
        self._saved_ms = self._clock.now().monotonic_ms
        openings = sorted({(one.number, one.opened_hub_ms) for one in kept})
        closed = {number: later[1] for (number, _), later in itertools.pairwise(openings)}
        for one in kept:
            self._put_on_shelf(one, closed.get(one.number))

    def _put_on_shelf(self, kept: Kept, closed_hub_ms: int | None) -> None:
        key = (kept.number, kept.lane)
        self._shelves[key] = Shelf(kept.number, kept.store_id, kept.lane, kept.first, kept.last, kept.settled)
        self._ages[key] = retention.Age(tuple((mark.last_seq, mark.hub_ms) for mark in kept.marks), closed_hub_ms)

    def _hub_ms(self) -> int:
        return self._hub_base_ms + self._clock.now().monotonic_ms

    def _take(self, lane: UpLane) -> int:
        seq = self._next[lane]
        self._next[lane] = seq + 1
        return seq

    def _state_now(self, values: Mapping[str, bytes | None]) -> None:
        for name, value in values.items():
            if value is None:
                self._state.pop(name, None)
            else:
                self._state[name] = value

    async def _on_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def waiting_within(shelf: Shelf, taken: Iterable[Range]) -> Ranges:
    """What waits on the shelf and is not already `taken` (in flight)."""
    return subtract(shelf.waiting(), tuple(taken))
