"""A sink that keeps what it is given, for tests of the collecting side."""

from bedside_agent.clock import Instant
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.readings import Measurement
from bedside_profiles.waveforms import Segment

Row = tuple[str, str, float | None, str]
"""Device, metric, value, modality."""


class Shelf:
    """See `sink.Sink`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.measurements: list[Measurement] = []
        self.segments: list[tuple[str, Segment]] = []
        self.charges: dict[str, int] = {}
        self.positions: dict[str, str] = {}

    async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
        self.measurements += measurements
        self.rows += [
            (device_id, measurement.metric.value, measurement.value, measurement.modality.value)
            for measurement in measurements
        ]

    def waveform(self, device_id: str, segment: Segment, heard_at: Instant) -> None:
        self.segments.append((device_id, segment))

    def clock_measured(self, device_id: str, measured: ClockMeasured, at: Instant) -> None:
        """Nothing here is dated."""

    async def stored(self) -> None:
        """At once: nothing here is on a disk."""

    def sensor_off(self, device_id: str, heard_at: Instant) -> None:
        self.rows.append((device_id, "sensor off", None, ""))

    def charged(self, device_id: str, percent: int, heard_at: Instant) -> None:
        self.charges[device_id] = percent

    def remember(self, device_id: str, position: str) -> None:
        self.positions[device_id] = position

    def position(self, device_id: str) -> str | None:
        return self.positions.get(device_id)
