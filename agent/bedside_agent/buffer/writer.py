"""The store's one writer: groups and alarms go to the disk, and room is made for them when there is none."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from bedside_agent.buffer import retention
from bedside_agent.buffer.adrift import OVERDUE_SECONDS
from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.holdings import Holdings
from bedside_agent.buffer.pending import Pending, window_seconds
from bedside_agent.buffer.room import RoomMaker
from bedside_agent.clock import Clock
from bedside_agent.errors import DamagedStoreError, StoreError, StoreFullError, StoreWriteError

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_SECONDS = 1.0
"""Between two attempts of a commit that failed: a full disk is looked at often, not in a busy loop."""

SETTLED_EVERY_MS = 5_000
"""Receipts are written down together: losing the last five seconds of them only sends those items again."""

Futures = list["asyncio.Future[None]"]


class OnThread(Protocol):
    """Runs something on the database's thread."""

    def __call__(self, work: Callable[..., T], *arguments: object) -> Awaitable[T]:
        """Its result, or what it raised."""
        ...


class Writer:
    """Belongs to one event loop. `committed` is called after each commit of items, `overdue` when one takes too long.

    `failing` says why nothing is committed, from the first refusal on, or from when a commit is overdue.
    """

    def __init__(
        self,
        database: Database,
        on_thread: OnThread,
        pending: Pending,
        holdings: Holdings,
        clock: Clock,
        window_seconds: float,
        committed: Callable[[Group], None],
        overdue: Callable[[Group], None],
    ) -> None:
        self.failing: StoreWriteError | None = None
        self._database = database
        self._on_thread = on_thread
        self._pending = pending
        self._holdings = holdings
        self._clock = clock
        self._window_seconds = window_seconds
        self._committed = committed
        self._overdue = overdue
        self._room = RoomMaker(database)
        self._making_room = False
        self._hub_base_ms = database.hub_ms - clock.now().monotonic_ms
        self._saved_ms = clock.now().monotonic_ms

    def hub_ms(self) -> int:
        """The hub's own running time, over all openings of this store."""
        return self._hub_base_ms + self._clock.now().monotonic_ms

    async def run(self) -> None:
        """Write until the store closes and nothing is pending."""
        now = asyncio.get_running_loop().time
        window, committed_at = self._window_seconds, now()
        while await self._pending.due(window):
            await self._commit_alarms(None)
            group, futures = self._pending.rest()
            if self._settled_due():
                self._add_settled(group)
            if not group.is_empty():
                self._holdings.add_marks(group, self.hub_ms())
                await self._commit(group, futures)
                window = window_seconds(self._window_seconds, len(group.readings), now() - committed_at)
                committed_at = now()
                await self._keep_room()
        try:
            await self.save_settled()
        except StoreWriteError as error:
            # The items themselves are safe; what the receipts said will be said again.
            log.warning("buffer.receipts_not_saved", extra={"reason": error.what})

    async def save_settled(self) -> None:
        """Write down what receipts said, now. StoreWriteError when the disk refuses."""
        group = Group()
        self._add_settled(group)
        if not group.is_empty():
            await self._on_thread(self._database.commit, group)

    def _settled_due(self) -> bool:
        due = self._clock.now().monotonic_ms - self._saved_ms >= SETTLED_EVERY_MS
        return due and self._holdings.has_unsaved_receipts

    def _add_settled(self, group: Group) -> None:
        self._holdings.add_settled(group)
        self._saved_ms = self._clock.now().monotonic_ms

    # Commits -----------------------------------------------------------------------------------------------------

    async def _commit_alarms(self, delayed: Group | None) -> None:
        """Commit the alarms that came; `delayed` is a group that was taken before them and is not on the disk."""
        while alarm := self._pending.next_alarm():
            if delayed is not None:
                for name in alarm[0].state:
                    # It would else be written after, and over, the alarm's newer value.
                    delayed.state.pop(name, None)
            await self._commit(*alarm)

    async def _commit(self, group: Group, futures: Futures) -> None:
        """Commit, and try again while the disk refuses: nothing that was taken is given up."""
        watch = asyncio.get_running_loop().call_later(OVERDUE_SECONDS, self._say_overdue, group)
        try:
            if not await self._commit_at_last(group):
                for future in futures:
                    future.cancel()
                return
        finally:
            watch.cancel()
        if self.failing is not None:
            log.warning("buffer.commit_works_again")
            self.failing = None
        self._holdings.advance(group)
        for future in futures:
            if not future.done():
                future.set_result(None)
        if group.readings or group.alarms or group.events:
            self._committed(group)

    async def _commit_at_last(self, group: Group) -> bool:
        """Commit; False when the store closes and the disk still refuses.

        Alarms go through while readings wait for room, and into the reserve when there is no other.
        """
        urgent, attempts = bool(group.alarms), 0
        while (error := await self._refusal(group)) is not None:
            full = isinstance(error, StoreFullError)
            if full and urgent and await self._on_thread(self._database.reserve.release):
                continue
            if self._pending.closed and attempts:
                return False
            attempts += 1
            if not (full and attempts % 2 and await self._gain_room(len(group.readings))):
                await self._on_thread(self._database.reserve.refill)
                await self._pending.pause(RETRY_SECONDS)
            if not urgent:
                await self._commit_alarms(group)
        if urgent or attempts:
            await self._on_thread(self._database.reserve.refill)
        return True

    def _say_overdue(self, group: Group) -> None:
        if self.failing is None:
            self.failing = StoreWriteError("the buffer's disk takes nothing", fix="dmesg | tail")
            log.error("buffer.commit_overdue")
        self._overdue(group)

    async def _refusal(self, group: Group) -> StoreWriteError | None:
        try:
            await self._on_thread(self._database.commit, group)
        except StoreWriteError as error:
            if self.failing is None:
                log.error("buffer.commit_failed", extra={"reason": error.what})
            self.failing = error
            return error
        return None

    # Room --------------------------------------------------------------------------------------------------------

    async def _keep_room(self) -> None:
        """Make room before the disk is full, so that a commit need not wait for it."""
        try:
            await self._make_room_while_low()
        except DamagedStoreError:
            raise
        except StoreError as error:
            # The group is on the disk; whether there is room is asked again after the next one.
            log.warning("buffer.room_unknown", extra={"reason": error.what})

    async def _make_room_while_low(self) -> None:
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
            step = await self._on_thread(self._room.step, self._holdings.shelves(), self._clock.now())
        except StoreFullError:
            if not await self._on_thread(self._database.reserve.release):
                return False
            try:
                return await self._make_room()
            finally:
                await self._on_thread(self._database.reserve.refill)
        except DamagedStoreError:
            raise
        except StoreError as error:
            log.warning("buffer.room_not_made", extra={"reason": error.what})
            return False
        if step is None:
            return False
        shelf, gone = step
        self._holdings.let_go((shelf.number, shelf.lane), gone)
        if not self._making_room:
            log.warning("buffer.makes_room")
        self._making_room = True
        return True
