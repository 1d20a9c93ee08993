"""What was taken and is not yet on the disk: alarms that commit alone and at once, the rest in groups."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.retention import gap_for, joined, thin
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.waveform import Waveform

MOST_PENDING = 20_000
"""Readings that may wait for the disk: minutes at any plausible rate, a few MB of memory."""

MOST_WAVEFORMS = 500
"""Pieces that may wait for a disk that takes nothing: minutes of one device's, about 2 MB of memory."""

BUSY_ROWS_A_SECOND = 8.0
BUSY_STRETCH = 5.0
"""Every commit writes at least a page: measured at 10 a second, 4.2 KB a reading in groups of 200 ms and 0.9 KB
in groups of a second. One patient's usual devices stay below the limit and are seen at once."""

Futures = list["asyncio.Future[None]"]


def window_seconds(quiet_seconds: float, rows: int, seconds: float) -> float:
    """How long the next group may gather, after `rows` came in `seconds`. Alarms never wait for it."""
    busy = rows >= BUSY_ROWS_A_SECOND * seconds
    return quiet_seconds * BUSY_STRETCH if busy else quiet_seconds


class Pending:
    """Belongs to one event loop; `due` is the writer's, all else is called by those who append."""

    def __init__(self) -> None:
        self.closed = False
        self._alarms: deque[tuple[Group, Futures]] = deque()
        self._group = Group()
        self._futures: Futures = []
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def add_readings(
        self, readings: Sequence[Reading], state: Mapping[str, bytes | None] = {}
    ) -> "asyncio.Future[None]":
        """Readings for the next group, and named values that belong to them."""
        self._group.readings.extend(readings)
        self._group.state.update(state)
        if len(self._group.readings) >= MOST_PENDING:
            self._has_room.clear()
        return self._grouped()

    def add_event(self, event: Event) -> "asyncio.Future[None]":
        """An event for the next group."""
        self._group.events.append(event)
        return self._grouped()

    def add_waveform(self, waveform: Waveform) -> "asyncio.Future[None]":
        """A piece of a waveform for the next group."""
        self._group.waveforms.append(waveform)
        return self._grouped()

    def add_state(self, values: Mapping[str, bytes | None]) -> "asyncio.Future[None]":
        """Named values for the next group."""
        self._group.state.update(values)
        return self._grouped()

    def add_alarm(self, alarm: Alarm, state: Mapping[str, bytes | None]) -> "asyncio.Future[None]":
        """An alarm with the state that belongs to it, alone and now."""
        future = self._future()
        for name in state:
            # An older value in the group would otherwise be written after, and over, the alarm's newer one.
            self._group.state.pop(name, None)
        self._alarms.append((Group(alarms=[alarm], state=dict(state)), [future]))
        self._something.set()
        self._urgent.set()
        return future

    def forget_settled(self, hub_ms: int) -> None:
        """Drop every settled range, now; `hub_ms` is the hub's running time."""
        self._group.forget_settled_at = hub_ms
        self._something.set()
        self._urgent.set()

    async def due(self, window_seconds: float) -> bool:
        """Wait until something is to be committed; False when all is done and the store closes."""
        await self._something.wait()
        if not self._urgent.is_set():
            try:
                async with asyncio.timeout(window_seconds):
                    await self._urgent.wait()
            except TimeoutError:
                pass
        return not (self.closed and not self._alarms and self._group.is_empty())

    def next_alarm(self) -> tuple[Group, Futures] | None:
        """The oldest alarm that is to be committed."""
        if self._alarms:
            return self._alarms.popleft()
        if not self.closed:
            self._urgent.clear()
        return None

    def rest(self) -> tuple[Group, Futures]:
        """Everything else, for one transaction."""
        group, futures = self._group, self._futures
        self._group, self._futures = Group(), []
        self._has_room.set()
        if not self.closed:
            self._something.clear()
            self._urgent.clear()
        return group, futures

    def events(self) -> tuple[Event, ...]:
        """Events that wait for the next group."""
        return tuple(self._group.events)

    def thin(self) -> None:
        """Keep less of what waits, as on a full disk: lowest, highest and middle of a minute, then the newest alone.

        What goes leaves a gap. Only while the disk takes nothing: the rules must hear the next reading all the same.
        """
        self._group.waveforms = _newest_waveforms(self._group.waveforms)
        readings = [one for one in self._group.readings if isinstance(one, Reading)]
        if len(readings) < MOST_PENDING:
            return
        stay = {one.seq for one in thin(readings)}
        if len(stay) > MOST_PENDING // 2:
            stay = {one.seq for one in readings[-MOST_PENDING // 2 :]}
        kept = [one if isinstance(one, Gap) or one.seq in stay else gap_for(one) for one in self._group.readings]
        self._group.readings = [one for one in joined(kept) if isinstance(one, Reading | Gap)]
        self._has_room.set()

    async def room(self) -> None:
        """Wait while too many readings wait for the disk."""
        await self._has_room.wait()

    async def pause(self, seconds: float) -> None:
        """Wait, but not when the store closes or an alarm comes."""
        try:
            async with asyncio.timeout(seconds):
                await self._urgent.wait()
        except TimeoutError:
            pass

    def close(self) -> None:
        """Have `due` answer at once, and False when nothing is left."""
        self.closed = True
        self._something.set()
        self._urgent.set()

    def _grouped(self) -> "asyncio.Future[None]":
        future = self._future()
        self._futures.append(future)
        self._something.set()
        return future

    def _future(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


def _newest_waveforms(items: Sequence[Waveform | Gap]) -> list[Waveform | Gap]:
    stay = [one for one in items if isinstance(one, Waveform)][-MOST_WAVEFORMS:]
    oldest = stay[0].seq if stay else 0
    kept = [gap_for(one) if isinstance(one, Waveform) and one.seq < oldest else one for one in items]
    return [one for one in joined(kept) if isinstance(one, Waveform | Gap)]
