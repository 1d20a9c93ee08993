"""What the world asks of every simulated device."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bedside_profiles.readings import Metric
from bedside_sim.journal import Stamp
from bedside_sim.patients import Vitals

PART_OF_TICK = 0.9
"""A stream ends a little before the tick does, so that between ticks nothing is in flight."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One tick. `second` counts from the world's start, `length_seconds` is how long the tick lasts."""

    second: int
    length_seconds: float


class Device(Protocol):
    """A device that has been made; whoever holds `busy` has it to himself."""

    @property
    def device_id(self) -> str:
        """Its name in the journal and in the hub's settings."""
        ...

    @property
    def busy(self) -> asyncio.Lock:
        """Held while something is on its way, so that between ticks nothing is."""
        ...

    @property
    def profile_name(self) -> str:
        """The catalogue's name for it."""
        ...

    @property
    def whereabouts(self) -> dict[str, str]:
        """How a hub's settings find it: `address`, or `port`."""
        ...

    async def start(self) -> None:
        """Be there."""
        ...

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """Say what a device says in this second."""
        ...

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """Say exactly these values now; when they were handed over, or None when nobody listened.

        Raises `EncodeError` for values that the device's frames cannot hold.
        """
        ...

    async def drop(self) -> None:
        """End the connection from the device's side."""
        ...

    def vanish(self) -> None:
        """Out of range, or unplugged."""
        ...

    def reappear(self) -> None:
        """Back again."""
        ...

    async def stop(self) -> None:
        """Be gone for good."""
        ...
