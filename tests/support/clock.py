"""A clock that stands still until a test moves it."""

from dataclasses import replace
from typing import TypeVar

from bedside_agent.clock import Instant, SystemClock
from bedside_profiles.readings import ClockQuality

T = TypeVar("T")
NOON_MS = 1_790_000_000_000
BOOT = "11111111-1111-4111-8111-111111111111"


class ManualClock:
    """Starts `start_utc_ms` after 1970 and 100 s after boot, synced."""

    def __init__(self, start_utc_ms: int = NOON_MS, quality: ClockQuality = ClockQuality.SYNCED) -> None:
        self._now = Instant(start_utc_ms, 100_000, BOOT, quality)

    @property
    def knows_time(self) -> bool:
        return True

    def timed(self, item: T) -> T:
        return item

    def now(self) -> Instant:
        return self._now

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> Instant:
        """Both time lines move on together."""
        passed_ms = round((seconds + 60 * minutes + 3600 * hours) * 1000)
        self._now = replace(
            self._now, utc_ms=self._now.utc_ms + passed_ms, monotonic_ms=self._now.monotonic_ms + passed_ms
        )
        return self._now

    def reboot(self, boot_id: str, *, off_seconds: float, quality: ClockQuality = ClockQuality.SYNCED) -> Instant:
        """Power gone for `off_seconds`, then 5 s into the next boot."""
        self._now = Instant(self._now.utc_ms + round(off_seconds * 1000), 5_000, boot_id, quality)
        return self._now

    def set_wall(self, utc_ms: int, quality: ClockQuality) -> Instant:
        """The wall clock jumps; the monotonic line does not."""
        self._now = replace(self._now, utc_ms=utc_ms, quality=quality)
        return self._now


class MachineClock(SystemClock):
    """This machine's own clock, taken to be right."""

    @property
    def knows_time(self) -> bool:
        return True

    def timed(self, item: T) -> T:
        return item


class SyncedClock(MachineClock):
    """The same, whatever the kernel says of it."""

    def now(self) -> Instant:
        return replace(super().now(), quality=ClockQuality.SYNCED)
