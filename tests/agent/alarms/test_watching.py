"""Which devices are watched, and when a reading was taken."""

from dataclasses import replace

import pytest
from tests.support.clock import BOOT, NOON_MS, ManualClock
from tests.support.readings import OXIMETER, plan, reading

from bedside_agent.alarms.watching import is_watched, taken_ms
from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.careplan import PlannedDevice

SYNCED, UNSYNCED = ClockQuality.SYNCED, ClockQuality.UNSYNCED
NOW = Instant(NOON_MS, 1_000_000, BOOT, SYNCED)


@pytest.mark.parametrize(
    ("device", "quality", "active", "watched"),
    [
        (PlannedDevice(OXIMETER, 0), SYNCED, True, True),
        (PlannedDevice(OXIMETER, 0), SYNCED, False, False),
        (PlannedDevice("other", 0), SYNCED, True, False),
        (PlannedDevice(OXIMETER, NOON_MS + 1), SYNCED, True, False),
        (PlannedDevice(OXIMETER, 0, NOON_MS), SYNCED, True, False),
        (PlannedDevice(OXIMETER, NOON_MS, NOON_MS + 1), SYNCED, True, True),
        (PlannedDevice(OXIMETER, NOON_MS + 1), UNSYNCED, True, True),
        (PlannedDevice(OXIMETER, 0, NOON_MS), UNSYNCED, True, True),
    ],
)
def test_who_is_watched(device: PlannedDevice, quality: ClockQuality, active: bool, watched: bool) -> None:
    now = ManualClock(quality=quality).now()
    assert is_watched(plan(devices=(device,), active=active), OXIMETER, now) is watched


@pytest.mark.parametrize(
    ("taken", "now", "ago_ms"),
    [
        (NOW, NOW, 0),
        (replace(NOW, utc_ms=NOON_MS - 60_000), NOW, 60_000),
        (replace(NOW, monotonic_ms=940_000), NOW, 60_000),
        (replace(NOW, utc_ms=NOON_MS + 60_000), NOW, 0),
        (replace(NOW, utc_ms=0, quality=UNSYNCED), NOW, 0),
        (replace(NOW, utc_ms=0, monotonic_ms=940_000, quality=UNSYNCED), replace(NOW, quality=UNSYNCED), 60_000),
        (replace(NOW, utc_ms=NOON_MS - 5_000_000, boot_id="2"), NOW, 5_000_000),
        (replace(NOW, utc_ms=0, boot_id="2"), replace(NOW, quality=UNSYNCED), 0),
    ],
    ids=["now", "by wall", "by running", "the future", "no wall", "no walls", "earlier boot", "earlier boot, no wall"],
)
def test_when_a_reading_was_taken(taken: Instant, now: Instant, ago_ms: int) -> None:
    assert now.monotonic_ms - taken_ms(reading(at=taken), now) == ago_ms
