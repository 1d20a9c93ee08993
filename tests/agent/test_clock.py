"""The kernel's clocks."""

import time

from bedside_agent.clock import SystemClock
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.fields import decoder
from bedside_profiles.wire.kinds import BootId


def test_the_system_clock_moves_forward_within_one_boot() -> None:
    clock = SystemClock()
    before, after = clock.now(), SystemClock().now()
    assert after.monotonic_ms >= before.monotonic_ms
    assert before.boot_id == after.boot_id
    assert decoder(BootId)(before.boot_id, "boot_id") == before.boot_id
    assert abs(before.utc_ms - time.time() * 1000) < 60_000
    assert before.quality in ClockQuality
