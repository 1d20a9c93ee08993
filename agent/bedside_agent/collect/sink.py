"""Where measurements go: the buffer implements this."""

from typing import Protocol

from bedside_agent.clock import Instant
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.readings import Measurement
from bedside_profiles.waveforms import Segment


class Sink(Protocol):
    """Takes what a device measured."""

    async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
        """Keep one frame's measurements, never empty, heard at that instant.

        It may return before they are durable. A stored record that was kept before is dropped. An error ends the
        agent: a hub that cannot keep readings must not look as if it did.
        """
        ...

    def waveform(self, device_id: str, segment: Segment, heard_at: Instant) -> None:
        """Keep a piece of a waveform, heard at that instant. Must not block: it may be dropped, which is counted."""
        ...

    def remember(self, device_id: str, position: str) -> None:
        """What was taken before need not be asked for again; durable only when all of that is. Must not block."""
        ...

    def position(self, device_id: str) -> str | None:
        """What was last remembered of this device, over all starts of the agent; None for nothing."""
        ...

    def clock_measured(self, device_id: str, measured: ClockMeasured, at: Instant) -> None:
        """How wrong the device's clock is, before what it stamped is taken. Must not block."""
        ...

    async def stored(self) -> None:
        """Return when everything that was taken is durable."""
        ...

    def sensor_off(self, device_id: str, heard_at: Instant) -> None:
        """The device said, without giving a reading, that its sensor is not on the body. Must not block."""
        ...

    def charged(self, device_id: str, percent: int, heard_at: Instant) -> None:
        """The device said how full its battery is. Must not block."""
        ...
