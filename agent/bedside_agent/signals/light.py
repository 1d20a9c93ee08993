"""A light that blinks with the alarm's urgency, on whatever lamp the hub has."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from bedside_agent.signals.giver import Giver
from bedside_agent.signals.signal import Pattern, SignalError
from bedside_profiles.rules.priority import Priority

LEDS = Path("/sys/class/leds")

HALF_PERIOD_SECONDS: Mapping[Priority, float] = MappingProxyType(
    {Priority.HIGH: 0.25, Priority.MEDIUM: 0.8, Priority.LOW: 60.0, Priority.INFO: 60.0}
)
"""High blinks twice a second, medium every 1.6 s; the others are steady."""

STEADY = 60.0


class Lamp(Protocol):
    """One lamp. SignalError when it cannot be switched."""

    def switch(self, on: bool) -> None:
        """On or off."""
        ...


class LedLamp:
    """A lamp of the kernel's LED class: `folder` holds its `brightness`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def switch(self, on: bool) -> None:
        """See `Lamp`. The kernel's own use of it (card activity, heartbeat) ends with the first switch."""
        try:
            trigger = self._folder / "trigger"
            if trigger.exists() and "[none]" not in trigger.read_text(encoding="ascii"):
                trigger.write_text("none", encoding="ascii")
            highest = (self._folder / "max_brightness").read_text(encoding="ascii").strip() if on else "0"
            (self._folder / "brightness").write_text(highest, encoding="ascii")
        except OSError as cause:
            raise SignalError(f"{self._folder.name}: the light cannot be switched ({cause.strerror})") from cause


class Light:
    """See `signal.Signal`."""

    def __init__(self, lamp: Lamp) -> None:
        self._lamp = lamp
        self._giver = Giver(self._blink)

    @property
    def trouble(self) -> str | None:
        """See `signal.Signal`."""
        return self._giver.trouble

    async def start(self, pattern: Pattern) -> None:
        """See `signal.Signal`."""
        await self._giver.start(Pattern(pattern.priority, repeats=True))

    async def stop(self) -> None:
        """See `signal.Signal`."""
        await self._giver.stop()
        # A lamp that cannot be switched off was seen when it was to be switched on, and is at the next test.
        with contextlib.suppress(SignalError):
            self._lamp.switch(False)

    async def works(self) -> str | None:
        """See `signal.Signal`. Whether the lamp can be switched; not whether it shines."""
        try:
            self._lamp.switch(False)
        except SignalError as error:
            return error.reason
        return None

    async def _blink(self, pattern: Pattern) -> float:
        half = HALF_PERIOD_SECONDS[pattern.priority]
        self._lamp.switch(True)
        await asyncio.sleep(half)
        if half < STEADY:
            self._lamp.switch(False)
            await asyncio.sleep(half)
        return 0.0
