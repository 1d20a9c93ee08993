"""Which devices are watched, and when a reading was taken."""

from dataclasses import replace

import pytest
from tests.support.clock import BOOT, NOON_MS, ManualClock
from tests.support.readings import OXIMETER, plan, reading

from bedside_agent.alarms.watching import is_of_the_patient, is_watched, taken_ms
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


HOUR_MS = 3_600_000
NOT_SAID = (PlannedDevice(OXIMETER, 0),)
FIRST, SECOND = (PlannedDevice(OXIMETER, 0, user=1),), (PlannedDevice(OXIMETER, 0, user=2),)


@pytest.mark.parametrize(
    ("mine", "others", "user", "heard"),
    [
        (NOT_SAID, (), None, True),
        (NOT_SAID, (), 0, True),
        (NOT_SAID, (), 1, True),
        (NOT_SAID, (), 2, False),
        (SECOND, (), None, True),
        (SECOND, (), 1, False),
        (SECOND, (), 2, True),
        (FIRST, SECOND, None, False),
        (FIRST, SECOND, 1, True),
        (FIRST, SECOND, 2, False),
        (NOT_SAID, SECOND, 1, True),
        (NOT_SAID, SECOND, None, False),
        (FIRST, (PlannedDevice("other", 0, user=2),), None, True),
        (FIRST, (PlannedDevice(OXIMETER, 0, NOON_MS, 2),), None, True),
        (FIRST, (PlannedDevice(OXIMETER, 0, NOON_MS + 1, 2),), None, False),
        ((PlannedDevice(OXIMETER, NOON_MS + 1, user=1),), (), 1, False),
        ((PlannedDevice(OXIMETER, NOON_MS + 1, user=1),), SECOND, 2, False),
    ],
)
def test_rules_hear_only_the_patients_own_slot(
    mine: tuple[PlannedDevice, ...], others: tuple[PlannedDevice, ...], user: int | None, heard: bool
) -> None:
    assert is_of_the_patient(plan(devices=mine, others=others), reading(device_user=user)) is heard


@pytest.mark.parametrize(
    ("until_ms", "heard"), [(None, False), (NOON_MS + HOUR_MS, True)], ids=["still another's", "ended once"]
)
def test_a_hub_without_the_time_leaves_out_what_may_be_anothers_now(until_ms: int | None, heard: bool) -> None:
    shared = plan(devices=FIRST, others=(PlannedDevice(OXIMETER, 0, until_ms, 2),))
    untimed = reading(clock_quality=UNSYNCED)
    assert is_of_the_patient(shared, untimed) is heard
    assert is_of_the_patient(shared, replace(untimed, device_user=1))
    assert not is_of_the_patient(shared, replace(untimed, device_user=2))
