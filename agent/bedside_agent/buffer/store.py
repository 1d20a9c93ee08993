"""The open store: appends that resolve after their commit, what waits for a receipt, and named state.

All SQLite work runs on one thread. Sequences are given out here, on the event loop, so that an alarm can name the
readings it was raised from before either is on the disk.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from bedside_agent.buffer import retention, substitute
from bedside_agent.buffer.adrift import OVERDUE_SECONDS, Adrift
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import LANES, Damaged, Group, Item
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.holdings import Holdings
from bedside_agent.buffer.pending import Pending
from bedside_agent.buffer.ranges import Range, Ranges, count, intersect, normalise, subtract
from bedside_agent.buffer.shelf import Shelf
from bedside_agent.buffer.writer import Writer
from bedside_agent.clock import Clock
from bedside_agent.errors import DamagedStoreError, StoreError, StoreWriteError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, EventField, Gap, GapReason
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

log = logging.getLogger(__name__)

T = TypeVar("T")
GENERATION = "cloud.generation"
MOST_FAILED_READS = 10
READ_RETRY_SECONDS = 1.0
MOST_WAITING_IN_MEMORY = 100_000
"""Items. A store in memory takes no more of a backlog than this: 3 MB."""

SALVAGE_RETRY_SECONDS = 60.0
"""Between two attempts while the disk is full or failing."""


class Store:
    """One opening of the buffer. `committed` is called on the event loop when there may be more to fetch."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        commit_window_ms: int,
        thread: ThreadPoolExecutor,
        in_memory: str | None = None,
    ) -> None:
        """Blocks: what the file holds is looked up. `in_memory` says why the file is not on the disk."""
        self.store_id = database.store_id
        self._in_memory = None if in_memory is None else f"kept in memory, and lost with the power: {in_memory}"
        self.committed: Callable[[], None] = lambda: None
        self._database = database
        self._clock = clock
        self._thread = thread
        self._pending = Pending()
        self._next: dict[UpLane, int] = dict.fromkeys(LANES, 1)
        self._state = dict(database.state())
        self._holdings = Holdings(database.store_number, database.kept(), is_salvaging=database.rescue.is_needed)
        self._writer = Writer(
            database,
            self._on_thread,
            self._pending,
            self._holdings,
            clock,
            commit_window_ms / 1000,
            self._landed,
            self._overdue,
        )
        self._adrift = Adrift()
        self._is_failing_told = False
        self._reads_failed = 0
        self._writing: asyncio.Task[None] | None = None
        self._salvaging: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path, clock: Clock, *, commit_window_ms: int = 200, memory: Path | None = None
    ) -> "Store":
        """Open or make the store at `path`. Readings are on the disk `commit_window_ms` after they came.

        Where the disk refuses it, one below the folder `memory` takes its place (`substitute.py`); StoreError without.
        """
        loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, "buffer")
        database, why = await loop.run_in_executor(thread, substitute.opened, path, secrets.token_hex(16), memory)
        store = await loop.run_in_executor(thread, cls, database, clock, commit_window_ms, thread, why)
        store._writing = asyncio.create_task(store._writer.run(), name="buffer writer")
        if database.damage is not None:
            log.error("buffer.store_corrupt", extra={"reason": database.damage})
            store._note("store_corrupt", EventField("reason", database.damage[:1000]))
        if why is not None:
            store._note("store_failing", EventField("reason", str(store.trouble)[:1000]))
        if database.rescue.is_needed:
            store._salvaging = asyncio.create_task(store._salvage(), name="buffer salvage")
        return store

    async def close(self) -> None:
        """Commit what is pending, once, and close the file."""
        if self._salvaging is not None:
            self._salvaging.cancel()
            await asyncio.wait({self._salvaging})
        if self._writing is not None:
            self._pending.close()
            await self._writing
        await self._on_thread(self._database.close)
        self._thread.shutdown()

    async def answer(self) -> None:
        """Return when the thread that does all disk work has time: a card that hangs never lets it."""
        await self._on_thread(lambda: None)

    async def watch(self) -> None:
        """Return when the store closes; raise what ended its writer, for then nothing is kept any more.

        DamagedStoreError when the present file was found damaged: the next start puts it aside.
        """
        tasks = [task for task in (self._writing, self._salvaging) if task is not None]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def salvaged(self) -> None:
        """Wait until all that can be saved of damaged files is in the store, or it closes."""
        if self._salvaging is not None:
            await asyncio.wait({self._salvaging})
            if not self._salvaging.cancelled():
                self._salvaging.result()

    @property
    def failing(self) -> StoreWriteError | None:
        """Why the disk does not take what is to be committed; None when it does."""
        return self._writer.failing

    @property
    def trouble(self) -> str | None:
        """Why all that comes would be lost with the power; None while the disk takes it."""
        if self._is_failing_told and self.failing is not None:
            return self.failing.what
        return self._in_memory

    # Appending ---------------------------------------------------------------------------------------------------

    def append_readings(
        self, drafts: Sequence[Reading], state: Mapping[str, bytes | None] = {}
    ) -> tuple[tuple[Reading, ...], asyncio.Future[None]]:
        """Give one measurement's members their sequences and group; the future resolves after their commit.

        The named values of `state` are in the same transaction.
        """
        first = self._next[UpLane.READINGS]
        group = first if len(drafts) > 1 else None
        readings = tuple([replace(draft, seq=first + place, group=group) for place, draft in enumerate(drafts)])
        self._next[UpLane.READINGS] = first + len(readings)
        self._state_now(state)
        return readings, self._pending.add_readings(readings, state)

    def append_alarm(self, draft: Alarm, state: Mapping[str, bytes | None] = {}) -> tuple[Alarm, asyncio.Future[None]]:
        """Commit the alarm at once and alone, together with the rule `state` that made it.

        When the disk has not taken it within `OVERDUE_SECONDS`, it can be fetched all the same, under its identity.
        """
        alarm = replace(draft, seq=self._take(UpLane.ALARMS))
        self._state_now(state)
        future = self._pending.add_alarm(alarm, state)
        # Behind a commit that hangs, none of its own would begin in time.
        asyncio.get_running_loop().call_later(OVERDUE_SECONDS, self._set_adrift_unless_done, alarm, future)
        return alarm, future

    def append_event(self, draft: Event) -> tuple[Event, asyncio.Future[None]]:
        """Keep an event; it is committed with the next group."""
        event = replace(draft, seq=self._take(UpLane.EVENTS))
        future = self._pending.add_event(event)
        if self._is_failing_told:
            self._set_adrift(UpLane.EVENTS, event)
        return event, future

    def append_waveform(self, draft: Waveform) -> asyncio.Future[None]:
        """Keep a piece of a waveform; it is committed with the next group."""
        return self._pending.add_waveform(replace(draft, seq=self._take(UpLane.WAVEFORMS)))

    def put_state(self, values: Mapping[str, bytes | None]) -> asyncio.Future[None]:
        """Keep named values (None removes one), committed with the next group. `state` shows them at once."""
        self._state_now(values)
        return self._pending.add_state(values)

    async def room(self) -> None:
        """Wait while more is pending than the disk keeps up with.

        When it takes nothing at all, what is pending is thinned instead: whoever waits could raise no alarm.
        """
        if self._is_failing_told:
            self._pending.thin()
            return
        await self._pending.room()

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

    # Reading -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[str, bytes]:
        """Every named value as last put."""
        return self._state

    def shelves(self) -> tuple[Shelf, ...]:
        """Every lane of every store, alarms first, oldest store first."""
        return self._holdings.shelves()

    def waiting(self) -> dict[UpLane, int]:
        """How many items of each lane no receipt covers."""
        return self._holdings.waiting()

    async def fetch(self, shelf: Shelf, wanted: Range, rows: int) -> tuple[Item | Damaged, ...]:
        """At most `rows` items of `wanted`, and gaps where there are none any more.

        Nothing, although there is something: the disk could not be read, an alarm that it did not take goes first, or
        all of it may still be found in a damaged file, and waits until then.
        DamagedStoreError when the file is damaged: the next start puts it aside.
        """
        first, last = wanted
        if shelf.store_id == self.store_id and (adrift := self._adrift.within(shelf.lane, wanted)):
            return adrift[:rows]
        may_be_found = shelf.store_id != self.store_id and self._is_salvaging()
        items = await self._read(shelf, wanted, rows)
        if items is None:
            return ()
        spans = [(item.seq, item.seq) if isinstance(item, Damaged) else span(item) for item in items]
        seen_to = spans[-1][1] if len(items) == rows else last
        holes = subtract(((first, seen_to),), normalise(spans))
        if may_be_found and holes:
            self._holdings.missing((shelf.number, shelf.lane), holes)
            return items
        # Deleted, because a receipt covered it; none of the present database does. The cloud counts what it lacks: it
        # may hold some of it, and then the gap says nothing new.
        let_go = intersect(holes, shelf.committed())
        gaps = [Gap(first, last, last - first + 1, GapReason.LET_GO) for first, last in let_go]
        return tuple(sorted((*items, *gaps), key=_first_seq))[:rows] if gaps else items

    def _is_salvaging(self) -> bool:
        return self._salvaging is not None and not self._salvaging.done()

    async def newest_reading(self) -> Reading | None:
        """The last reading that an earlier opening left behind; None when there is none, or it is damaged."""
        for shelf in reversed(self.shelves()):
            if shelf.lane is UpLane.READINGS and shelf.last >= shelf.first:
                items = await self.fetch(shelf, (shelf.last, shelf.last), 1)
                return items[0] if items and isinstance(items[0], Reading) else None
        return None

    async def _read(self, shelf: Shelf, wanted: Range, rows: int) -> tuple[Item | Damaged, ...] | None:
        """From the disk; None when it cannot be read now, or hangs while something that is adrift wants to be sent."""
        news = self._adrift.news()
        reading: asyncio.Future[tuple[Item | Damaged, ...]] = asyncio.get_running_loop().run_in_executor(
            self._thread, self._database.fetch, shelf.number, shelf.lane, *wanted, rows
        )
        try:
            both: tuple[asyncio.Future[Any], ...] = (reading, news)
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return None
            items = reading.result()
        except DamagedStoreError:
            raise
        except StoreError as error:
            self._reads_failed += 1
            if self._reads_failed >= MOST_FAILED_READS and self.failing is None:
                # It can be written and not read: a bad sector, and all that waits behind it would wait for ever.
                raise self._database.file.call_damaged(error.what) from error
            log.error("buffer.read_failed", extra={"reason": error.what})
            await asyncio.wait({news}, timeout=READ_RETRY_SECONDS)
            return None
        finally:
            reading.add_done_callback(_look_at)
            reading.cancel()
        self._reads_failed = 0
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
            self._holdings.unsettle()
            self._pending.forget_settled(self._writer.hub_ms())
        if receipt.store_id is not None:
            refused = ((item.seq, item.seq) for item in receipt.rejected)
            self._holdings.settle(receipt.store_id, receipt.lane, (*receipt.stored, *refused))
        return rewound

    # Retention ---------------------------------------------------------------------------------------------------

    async def retain(self) -> int:
        """Delete what is stored in the cloud and old enough; how many sequences went."""
        await self._writer.save_settled()
        gone, generation = 0, self._state.get(GENERATION)
        for shelf in self._holdings.shelves():
            key = (shelf.number, shelf.lane)
            ranges = self._holdings.deletable(shelf, self._writer.hub_ms())
            for part in retention.slices(ranges):
                if self._state.get(GENERATION) != generation:
                    # The cloud has lost its database meanwhile: what was decided before holds no more.
                    return gone
                deleted: Ranges = await self._on_thread(self._database.delete, *key, part, ranges)
                self._holdings.let_go(key, deleted)
                gone += count(deleted)
            below_seq = self._holdings.forget_marks(key, self._writer.hub_ms())
            if below_seq is not None:
                await self._on_thread(self._database.forget_marks, *key, below_seq)
        for number in self._holdings.forgettable_stores(self._writer.hub_ms()):
            await self._on_thread(self._database.forget_store, number)
            self._holdings.forget_store(number)
        return gone

    # A failing disk ----------------------------------------------------------------------------------------------

    def _landed(self, group: Group) -> None:
        for lane, items in group.by_lane().items():
            for item in items:
                self._adrift.landed(lane, item)
        if self._is_failing_told and not group.alarms:
            # An alarm alone proves little: it may have gone into the reserve of a full disk.
            self._is_failing_told = False
            self._note("store_works_again")
        self.committed()

    def _overdue(self, group: Group) -> None:
        """The disk has not taken the group in time, and takes nothing after it."""
        if not self._is_failing_told and self.failing is not None:
            self._note("store_failing", EventField("reason", self.failing.what[:1000]))
            self._is_failing_told = True
        self._pending.thin()
        for event in (*group.events, *self._pending.events()):
            self._set_adrift(UpLane.EVENTS, event)

    def _set_adrift_unless_done(self, alarm: Alarm, future: "asyncio.Future[None]") -> None:
        if not future.done():
            self._set_adrift(UpLane.ALARMS, alarm)

    def _set_adrift(self, lane: UpLane, item: Alarm | Event) -> None:
        self._adrift.add(lane, item)
        self._holdings.present(lane, (item.seq, item.seq))
        self.committed()

    # Salvage -----------------------------------------------------------------------------------------------------

    async def _salvage(self) -> None:
        """Bring in what damaged files still hold, in small steps; what is found is sent at once."""
        rescue, now = self._database.rescue, asyncio.get_running_loop().time
        while rescue.is_needed:
            if self._in_memory is not None and sum(self.waiting().values()) >= MOST_WAITING_IN_MEMORY:
                # What is on the disk is safe there; memory is for what comes now.
                await asyncio.sleep(READ_RETRY_SECONDS)
                continue
            began = now()
            try:
                saved = await self._on_thread(rescue.step)
            except StoreWriteError as error:
                # The rest stays in the file that was put aside, and is not lost.
                log.warning("buffer.salvage_waits", extra={"reason": error.what})
                await asyncio.sleep(SALVAGE_RETRY_SECONDS)
                continue
            self._holdings.found(saved, self._database.hub_ms)
            if saved:
                self.committed()
            # As long as it took: half of the disk's time stays for what is measured now.
            await asyncio.sleep(now() - began)
        log.warning("buffer.salvaged", extra={"rows": rescue.rows})
        self._note("store_salvaged", EventField("rows", str(rescue.rows)))

    def _note(self, kind: str, *fields: EventField) -> None:
        now = self._clock.now()
        self.append_event(Event(0, kind, now.utc_ms, now.boot_id, now.monotonic_ms, fields=fields))

    async def _on_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _first_seq(item: Item | Damaged) -> int:
    return item.seq if isinstance(item, Damaged) else span(item)[0]


def _look_at(reading: "asyncio.Future[tuple[Item | Damaged, ...]]") -> None:
    """What became of a read that nobody waits for any more."""
    if not reading.cancelled() and (error := reading.exception()) is not None:
        log.debug("buffer.late_read_failed", extra={"reason": str(error)})
