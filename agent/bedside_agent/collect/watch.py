"""What comes from one device, as it comes: for the technician who adds it or tests it."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from bedside_agent.clock import Instant
from bedside_agent.collect.notices import Notice, Report
from bedside_agent.collect.sink import Sink
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.readings import Measurement
from bedside_profiles.waveforms import Segment

KEPT = 256
"""A technician reads the newest; a sensor that streams is not kept whole for one who does not look."""


class Heard:
    """What was heard since it was last taken; the newest only, where there is much."""

    def __init__(self) -> None:
        self.measurements: deque[Measurement] = deque(maxlen=KEPT)
        self.notices: deque[Notice] = deque(maxlen=KEPT)
        self.sensor_off = False
        self.news = asyncio.Event()


class Watch:
    """Stands before the sink and before who is told of notices; hands on all it gets. See `sink.Sink`."""

    def __init__(self, sink: Sink, report: Report) -> None:
        self._sink = sink
        self._report = report
        self._watchers: list[tuple[str, Heard]] = []

    @contextmanager
    def watching(self, device_id: str) -> Iterator[Heard]:
        """What comes from this device meanwhile."""
        watcher = (device_id, Heard())
        self._watchers.append(watcher)
        try:
            yield watcher[1]
        finally:
            self._watchers.remove(watcher)

    async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
        """Hand it on."""
        await self._sink.take(device_id, measurements, heard_at)
        for heard in self._of(device_id):
            heard.measurements.extend(measurements)
            heard.news.set()

    def waveform(self, device_id: str, segment: Segment, heard_at: Instant) -> None:
        """Hand it on."""
        self._sink.waveform(device_id, segment, heard_at)

    def remember(self, device_id: str, position: str) -> None:
        """Hand it on."""
        self._sink.remember(device_id, position)

    def position(self, device_id: str) -> str | None:
        """See `sink.Sink`."""
        return self._sink.position(device_id)

    def clock_measured(self, device_id: str, measured: ClockMeasured, at: Instant) -> None:
        """Hand it on."""
        self._sink.clock_measured(device_id, measured, at)

    async def stored(self) -> None:
        """See `sink.Sink`."""
        await self._sink.stored()

    def sensor_off(self, device_id: str, heard_at: Instant) -> None:
        """Hand it on."""
        self._sink.sensor_off(device_id, heard_at)
        for heard in self._of(device_id):
            heard.sensor_off = True
            heard.news.set()

    def charged(self, device_id: str, percent: int, heard_at: Instant) -> None:
        """Hand it on."""
        self._sink.charged(device_id, percent, heard_at)

    def note(self, notice: Notice) -> None:
        """Hand it on."""
        self._report(notice)
        for heard in self._of(notice.device_id):
            heard.notices.append(notice)
            heard.news.set()

    def _of(self, device_id: str) -> list[Heard]:
        return [heard for watched, heard in self._watchers if watched == device_id]
