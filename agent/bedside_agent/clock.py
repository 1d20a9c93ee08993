"""The hub's time: one boot, one monotonic line, and a wall clock whose quality travels with every reading."""

import ctypes
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bedside_profiles.readings import ClockQuality


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both time lines. `utc_ms` may be wrong when `quality` is unsynced; `monotonic_ms` is not."""

    utc_ms: int
    monotonic_ms: int
    boot_id: str
    quality: ClockQuality


class Clock(Protocol):
    """Where the agent gets its time from; tests pass their own."""

    def now(self) -> Instant:
        """The present moment."""
        ...


BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")

_TIMEX_BYTES = 512
"""More than `struct timex` has on any Linux; its first field, `modes`, is 0 to read only."""

_TIME_ERROR = 5
"""What adjtimex(2) answers while no time service disciplines the clock."""


class SystemClock:
    """The kernel's clocks. The monotonic one counts on through suspend where the system can say so."""

    def __init__(self) -> None:
        self._boot_id = _boot_id()
        self._line = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def now(self) -> Instant:
        """The present moment, with what the kernel says of the wall clock."""
        return Instant(
            utc_ms=time.time_ns() // 1_000_000,
            monotonic_ms=time.clock_gettime_ns(self._line) // 1_000_000,
            boot_id=self._boot_id,
            quality=_kernel_clock_quality(),
        )


def _boot_id() -> str:
    try:
        return BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        # Without the kernel's word every start counts as a boot: order is then kept within a start only.
        return str(uuid.uuid4())


def _kernel_clock_quality() -> ClockQuality:
    adjtimex = getattr(_LIBC, "adjtimex", None)
    if adjtimex is None:
        return ClockQuality.UNSYNCED
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return ClockQuality.SYNCED if 0 <= state < _TIME_ERROR else ClockQuality.UNSYNCED


_LIBC = ctypes.CDLL(None)
