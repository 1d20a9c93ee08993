"""One device's bytes become measurements in the sink, through one bounded queue.

The radio's callback may never wait: it decodes, stamps the time and puts the result into the queue. When the sink is
slower than the device for so long that the queue is full, the oldest measurements go, counted and reported: what a
device says now matters more than what it said minutes ago.
"""

import asyncio
from dataclasses import dataclass

from bedside_agent.clock import Clock, Instant
from bedside_agent.collect.adverts import Adverts
from bedside_agent.collect.notices import Notice, NoticeKind, Report
from bedside_agent.collect.sink import Sink
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Framer, Listener, NoReading, Profile, SerialProfile
from bedside_profiles.readings import Measurement

QUEUE_FRAMES = 1024
"""About 5 minutes of the fastest device known (3 frames a second): longer than any checkpoint of the store."""


@dataclass(slots=True)
class Counts:
    """Since start: frames with a reading, well formed frames without one, refused frames, dropped measurements."""

    frames: int = 0
    without_reading: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Heard:
    """One frame's measurements, or a position behind them, as heard on one connection."""

    connection: int
    at: Instant
    measurements: tuple[Measurement, ...] = ()
    position: str | None = None


class Collector:
    """The queue and the decoder of one device. Call `hear` from the event loop's thread; `run` empties the queue."""

    def __init__(
        self,
        device_id: str,
        profile: Profile | Adverts,
        sink: Sink,
        clock: Clock,
        report: Report,
        *,
        capacity: int = QUEUE_FRAMES,
    ) -> None:
        self.counts = Counts()
        self.last_heard: Instant | None = None
        """When the newest frame with a reading came; None when there was none since start."""
        self.battery_percent: int | None = None
        """How full the device last said that its battery is; None when it said nothing since start."""
        self._device_id = device_id
        self._profile = profile
        self._sink = sink
        self._clock = clock
        self._report = report
        self._capacity = capacity
        self._queue: asyncio.Queue[_Heard] = asyncio.Queue()
        self._connection = 0
        self._last_with_a_hole = -1
        self._overflowing = False
        self._dropped_unreported = 0
        self._refused_in_a_row = 0
        self._listener: Listener = self._listen()

    @property
    def waiting(self) -> int:
        """Frames heard that the sink has not taken yet."""
        return self._queue.qsize()

    def connected(self) -> None:
        """A connection begins: bytes left over from the one before are no part of it."""
        self._listener = self._listen()
        self._connection += 1

    def disconnected(self) -> None:
        """A connection has ended. A measurement that was whole and waited for something beside it is kept as it is."""
        rest = self._listener.rest()
        self._listener = self._listen()
        if isinstance(rest, Decoded) and rest.measurements:
            self._keep(rest)

    def hear(self, payload: bytes, characteristic: str = "") -> None:
        """Bytes as they came: one value of a characteristic, or a piece of a serial stream. Never blocks."""
        for outcome in self._listener.feed(characteristic, payload):
            if isinstance(outcome, DecodeError):
                self._refuse(outcome)
            else:
                self._refused_in_a_row = 0
                self._keep(outcome)

    def charged(self, percent: int) -> None:
        """The device's battery, as it was read."""
        self.battery_percent = percent
        self._sink.charged(self._device_id, percent, self._clock.now())

    def remember(self, position: str) -> None:
        """The sink is told once it has all that was heard before; not if some of that connection was dropped."""
        self._queue.put_nowait(_Heard(self._connection, self._clock.now(), position=position))

    async def run(self) -> None:
        """Hand what is heard to the sink, in order, until cancelled. The sink's errors come out here."""
        while True:
            heard = await self._queue.get()
            if heard.position is None:
                await self._sink.take(self._device_id, heard.measurements, heard.at)
            elif heard.connection > self._last_with_a_hole:
                self._sink.remember(self._device_id, heard.position)
            self._queue.task_done()
            if self._overflowing and self.waiting <= self._capacity // 2:
                self._overflowing = False
                self._report_dropped()

    async def drain(self) -> None:
        """Return when everything heard so far is in the sink. `run` must be running."""
        await self._queue.join()

    async def stored(self) -> None:
        """Return when everything heard so far is durable. `run` must be running."""
        await self.drain()
        await self._sink.stored()

    def _listen(self) -> Listener:
        profile = self._profile
        return _Line(profile.framer()) if isinstance(profile, SerialProfile) else profile.listen()

    def _keep(self, decoded: Decoded) -> None:
        for segment in decoded.segments:
            self._sink.waveform(self._device_id, segment, self._clock.now())
        if not decoded.measurements:
            if not decoded.segments:
                self.counts.without_reading += 1
            if any(one.reason is NoReading.SENSOR_OFF for one in decoded.withheld):
                self._sink.sensor_off(self._device_id, self._clock.now())
            return
        self.counts.frames += 1
        self.last_heard = self._clock.now()
        if self.waiting >= self._capacity:
            self._drop_oldest()
        self._queue.put_nowait(_Heard(self._connection, self.last_heard, decoded.measurements))

    def _drop_oldest(self) -> None:
        lost = self._queue.get_nowait()
        self._queue.task_done()
        self._last_with_a_hole = max(self._last_with_a_hole, lost.connection)
        self.counts.dropped += len(lost.measurements)
        self._dropped_unreported += len(lost.measurements)
        if not self._overflowing:
            self._overflowing = True
            self._report_dropped()

    def _report_dropped(self) -> None:
        """Reported at the first loss and again when the queue is half empty: two notices, however long it takes."""
        if self._dropped_unreported:
            self._notify(NoticeKind.READINGS_DROPPED, {"count": str(self._dropped_unreported)})
            self._dropped_unreported = 0

    def _refuse(self, error: DecodeError) -> None:
        self.counts.refused += 1
        self._refused_in_a_row += 1
        if self._refused_in_a_row & (self._refused_in_a_row - 1) == 0:
            fields = {"reason": error.reason, "count": str(self._refused_in_a_row)}
            self._notify(NoticeKind.FRAMES_REFUSED, fields)

    def _notify(self, kind: NoticeKind, fields: dict[str, str]) -> None:
        self._report(Notice(self._device_id, kind, self._clock.now(), fields))


class _Line:
    """A serial stream as a `Listener`. What is left of it when the line ends is a piece of a frame, and no reading."""

    def __init__(self, framer: Framer) -> None:
        self._framer = framer

    def feed(self, _characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        return self._framer.feed(payload)

    def rest(self) -> None:
        """Nothing."""
