"""Where measurements go: the buffer implements this."""

from typing import Protocol

from bedside_agent.clock import Instant
from bedside_profiles.readings import Measurement


class Sink(Protocol):
    """Takes what a device measured."""

    async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
        """Keep one frame's measurements, never empty, heard at that instant.

        It may return before they are durable. An error ends the agent: a hub that cannot keep readings must not
        look as if it did.
        """
        ...

    def sensor_off(self, device_id: str, heard_at: Instant) -> None:
        """The device said, without giving a reading, that its sensor is not on the body. Must not block."""
        ...

    def charged(self, device_id: str, percent: int, heard_at: Instant) -> None:
        """The device said how full its battery is. Must not block."""
        ...
