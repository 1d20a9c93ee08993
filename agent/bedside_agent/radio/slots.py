"""Connection slots: how many devices one adapter is connected with at a time, and whose turn it is.

An adapter refuses or drops links beyond a number of its own, so the hub counts them itself. Who has waited longest is
served first. A device that only speaks after a measurement yields when it has nothing more to say; one that streams
keeps its slot. Where there are devices of both kinds, those that stream leave one slot to the others: a cuff is there
for a minute after a measurement, and an oximeter would never make room for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bedside_agent.radio.central import SlotsExhaustedError


@dataclass(slots=True, eq=False)
class Slot:
    """A slot on `adapter`, waited for `since` then (on the event loop's clock) and later held.

    `heard_at` is when the device last said something. `is_wanted` asks to yield it when the device is idle; `on_wanted`
    is called when that changes.
    """

    adapter: str
    streams: bool
    since: float
    on_wanted: Callable[[], None]
    heard_at: float = 0.0
    is_wanted: bool = False
    granted: asyncio.Event = field(default_factory=asyncio.Event)


def streaming_limit(count: int, *, mixed: bool) -> int:
    """How many of `count` slots the devices that stream may have. A single slot is kept for nobody."""
    return max(1, count - 1) if mixed else count


def next_turn(waiting: Sequence[Slot], held: Sequence[Slot], count: int, *, mixed: bool) -> Slot | None:
    """Who gets a slot now; None for nobody. `mixed`: the hub has devices of both kinds."""
    if len(held) >= count:
        return None
    streams_may = sum(one.streams for one in held) < streaming_limit(count, mixed=mixed)
    admitted = [one for one in waiting if streams_may or not one.streams]
    return min(admitted, key=lambda one: one.since, default=None)


def to_yield(waiting: Sequence[Slot], held: Sequence[Slot], count: int, *, mixed: bool) -> list[Slot]:
    """Who is to make room for those that wait, the longest silent first."""
    streams = sum(one.streams for one in waiting)
    room = streaming_limit(count, mixed=mixed) - sum(one.streams for one in held)
    wanting = len(waiting) - streams + min(streams, max(0, room))
    missing = max(0, wanting - (count - len(held)))
    return sorted((one for one in held if not one.streams), key=lambda one: one.heard_at)[:missing]


class Slots:
    """The slots of all adapters, `count` each. Devices are made known with `place` before any asks for one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kinds: set[bool] = set()
        self._waiting: list[Slot] = []
        self._held: list[Slot] = []

    def place(self, *, streams: bool) -> "Place":
        """A device that will ask for slots. `streams`: it speaks all the time."""
        self._kinds.add(streams)
        return Place(self, streams=streams)

    def held(self, adapter: str) -> int:
        """How many are in use on this adapter."""
        return sum(one.adapter == adapter for one in self._held)

    async def take(self, slot: Slot, timeout_seconds: float) -> None:
        """Wait for its turn. Raises `SlotsExhaustedError`; after that, or cancelled, nothing is held."""
        self._waiting.append(slot)
        self._settle(slot.adapter)
        try:
            async with asyncio.timeout(timeout_seconds):
                await slot.granted.wait()
        except BaseException as error:
            self.give_back(slot)
            if isinstance(error, TimeoutError):
                raise SlotsExhaustedError(self._count, timeout_seconds) from None
            raise

    def give_back(self, slot: Slot) -> None:
        """The connection has ended, or is not wanted any more."""
        (self._held if slot.granted.is_set() else self._waiting).remove(slot)
        self._settle(slot.adapter)

    def _settle(self, adapter: str) -> None:
        mixed = len(self._kinds) > 1
        waiting = [one for one in self._waiting if one.adapter == adapter]
        held = [one for one in self._held if one.adapter == adapter]
        while (served := next_turn(waiting, held, self._count, mixed=mixed)) is not None:
            waiting.remove(served)
            held.append(served)
            self._waiting.remove(served)
            self._held.append(served)
            served.heard_at = asyncio.get_running_loop().time()
            served.granted.set()
        asked = to_yield(waiting, held, self._count, mixed=mixed)
        for one in held:
            if one.is_wanted != (one in asked):
                one.is_wanted = not one.is_wanted
                one.on_wanted()


class Place:
    """One device's place among those that ask. It keeps its rank until it was served."""

    def __init__(self, slots: Slots, *, streams: bool) -> None:
        self._slots = slots
        self._streams = streams
        self._unserved_since: float | None = None
        self._slot: Slot | None = None

    def heard(self) -> None:
        """The device said something just now."""
        if self._slot is not None:
            self._slot.heard_at = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def slot(self, adapter: str, on_wanted: Callable[[], None], timeout_seconds: float) -> AsyncIterator[Slot]:
        """A slot for as long as the context lives. Raises `SlotsExhaustedError`."""
        if self._unserved_since is None:
            self._unserved_since = asyncio.get_running_loop().time()
        slot = Slot(adapter, self._streams, self._unserved_since, on_wanted)
        await self._slots.take(slot, timeout_seconds)
        self._unserved_since, self._slot = None, slot
        try:
            yield slot
        finally:
            self._slot = None
            self._slots.give_back(slot)
