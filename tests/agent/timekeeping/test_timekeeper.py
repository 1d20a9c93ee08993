"""A hub without a clock: what it says of the time, when, and what becomes of what it took before."""

import json
from collections.abc import Mapping

from tests.support.clock import BOOT, NOON_MS, ManualClock
from tests.support.readings import alarm, event, reading

from bedside_agent.clock import Instant
from bedside_agent.timekeeping.timekeeper import ANCHOR_EVERY_MS, BOOTS, GOOD_FOR_MS, SLOWEST_ANSWER_MS, TimeKeeper
from bedside_profiles.readings import ClockQuality, Reading
from bedside_profiles.wire.alarm import AlarmInput

SECOND_BOOT = "22222222-2222-4222-8222-222222222222"
THIRD_BOOT = "33333333-3333-4333-8333-333333333333"
YEAR_SECONDS = 365 * 86_400
UNSYNCED, SYNCED = ClockQuality.UNSYNCED, ClockQuality.SYNCED


class Hub:
    """A hub's kernel clock (right or wrong), the truth beside it, and what its time keeper kept and reported."""

    def __init__(self, wall_ms: int, quality: ClockQuality = UNSYNCED) -> None:
        self.kernel = ManualClock(wall_ms, quality)
        self.truth_ms = NOON_MS
        self.kept: dict[str, bytes] = {}
        self.writes = 0
        self.notes: list[tuple[str, Mapping[str, str]]] = []
        self.taken: list[tuple[Reading, int]] = []
        self.start()

    def start(self) -> None:
        newest = self.taken[-1][0] if self.taken else None
        self.times = TimeKeeper(
            self.kernel,
            self.kept.get(BOOTS),
            newest,
            self._keep,
            lambda kind, fields: self.notes.append((kind, fields)),
        )

    def _keep(self, values: Mapping[str, bytes]) -> None:
        self.kept.update(values)
        self.writes += 1

    def pass_time(self, seconds: float, *, drift_ms: int = 0) -> None:
        """The truth passes; the hub's own clocks are `drift_ms` ahead of it by then."""
        self.kernel.advance(seconds=seconds + drift_ms / 1000)
        self.truth_ms += round(seconds * 1000)
        self.times.tick()

    def take(self) -> Reading:
        now = self.times.now()
        one = reading(
            97.0,
            seq=len(self.taken) + 1,
            taken_at_ms=now.utc_ms,
            boot_id=now.boot_id,
            monotonic_ms=now.monotonic_ms,
            clock_quality=now.quality,
        )
        self.taken.append((one, self.truth_ms))
        return one

    def power_cut(self, boot_id: str, *, off_seconds: float, wakes_at_ms: int) -> None:
        self.kernel.reboot(boot_id, off_seconds=0)
        self.kernel.set_wall(wakes_at_ms, UNSYNCED)
        self.truth_ms += round(off_seconds * 1000) + 5_000
        self.start()

    def time_service(self) -> None:
        """The kernel learns the truth."""
        self.kernel.set_wall(self.truth_ms, SYNCED)
        self.times.tick()

    def errors_ms(self) -> list[int]:
        return [self.times.timed(one).taken_at_ms - truth for one, truth in self.taken]


def test_three_wrong_starts_are_right_after_the_time_service() -> None:
    for wakes_at_ms in (0, NOON_MS - 86_400_000, NOON_MS + YEAR_SECONDS * 1000):
        hub = Hub(wakes_at_ms)
        for _ in range(60):
            hub.take()
            hub.pass_time(10)
        assert hub.times.timed(hub.taken[0][0]) == hub.taken[0][0], "nothing is known yet"
        assert not hub.times.knows_time
        hub.time_service()
        for _ in range(60):
            hub.take()
            hub.pass_time(10)
        assert max(map(abs, hub.errors_ms())) <= 1_000
        timed = [hub.times.timed(one) for one, _ in hub.taken]
        assert [one.taken_at_ms for one in timed] == sorted(one.taken_at_ms for one in timed)
        assert [one.clock_quality for one in timed] == [ClockQuality.RESOLVED] * 60 + [SYNCED] * 60
        assert [kind for kind, _ in hub.notes] == ["clock_synced"]


def test_a_wall_clock_that_falls_back_at_sync_keeps_the_order() -> None:
    """A year ahead, then right: later readings carry earlier wall times, and still come later."""
    hub = Hub(NOON_MS + YEAR_SECONDS * 1000)
    first = hub.take()
    hub.pass_time(30)
    hub.time_service()
    second = hub.take()
    assert second.taken_at_ms < first.taken_at_ms
    assert hub.times.timed(second).taken_at_ms - hub.times.timed(first).taken_at_ms == 30_000


def test_the_cloud_tells_the_time_where_no_time_service_does() -> None:
    hub = Hub(0)
    hub.take()
    hub.pass_time(20)
    asked = hub.kernel.now().monotonic_ms
    hub.pass_time(0.4)
    hub.times.hear_cloud(asked, hub.truth_ms - 150)
    assert hub.times.knows_time
    assert hub.times.now().quality is SYNCED
    assert abs(hub.times.now().utc_ms - hub.truth_ms) <= 200
    hub.take()
    assert max(map(abs, hub.errors_ms())) <= 200
    assert not hub.times.kernel_knows_time(), "TLS asks the kernel, and it still does not know"


def test_an_answer_that_took_long_or_comes_from_before_says_nothing() -> None:
    hub = Hub(0)
    asked = hub.kernel.now().monotonic_ms
    hub.pass_time((SLOWEST_ANSWER_MS + 1) / 1000)
    hub.times.hear_cloud(asked, hub.truth_ms)
    hub.times.hear_cloud(hub.kernel.now().monotonic_ms + 1, hub.truth_ms)
    assert not hub.times.knows_time
    hub.times.hear_cloud(asked + 1, hub.truth_ms)
    assert hub.times.knows_time


def test_a_boot_that_never_knew_the_time_is_timed_by_its_neighbours() -> None:
    hub = Hub(NOON_MS, SYNCED)
    for _ in range(10):
        hub.take()
        hub.pass_time(60)
    hub.power_cut(SECOND_BOOT, off_seconds=30, wakes_at_ms=0)
    for _ in range(10):
        hub.take()
        hub.pass_time(60)
    hub.power_cut(THIRD_BOOT, off_seconds=30, wakes_at_ms=0)
    hub.take()
    hub.pass_time(60)
    hub.time_service()
    timed = [hub.times.timed(one) for one, _ in hub.taken]
    assert [one.taken_at_ms for one in timed] == sorted(one.taken_at_ms for one in timed)
    assert [one.clock_quality for one in timed[10:20]] == [ClockQuality.ESTIMATED] * 10
    assert max(map(abs, hub.errors_ms())) <= 100_000, "no further off than the power was"
    assert abs(hub.errors_ms()[20]) <= 1


def test_a_night_without_the_time_service_is_bridged_by_its_two_ends() -> None:
    """At 50 parts in a million, ten hours are 1.8 s: too much to be called right, and taken out afterwards."""
    hub = Hub(NOON_MS, SYNCED)
    hub.pass_time(1)
    hub.kernel.set_wall(hub.kernel.now().utc_ms, UNSYNCED)
    hub.times.tick()
    for _ in range(10):
        hub.pass_time(3600, drift_ms=180)
        hub.take()
    assert hub.taken[2][0].clock_quality is SYNCED
    assert hub.taken[-1][0].clock_quality is UNSYNCED
    assert hub.taken[-1][0].taken_at_ms - hub.truth_ms == 1_800
    hub.pass_time(1)
    hub.time_service()
    late = [abs(hub.times.timed(one).taken_at_ms - truth) for one, truth in hub.taken if one.clock_quality is UNSYNCED]
    assert late
    assert max(late) <= 50


def test_a_clock_that_was_set_is_reported_and_bends_nothing_before_it() -> None:
    hub = Hub(NOON_MS, SYNCED)
    hub.pass_time(1800)
    before = hub.times.now()
    hub.kernel.set_wall(hub.kernel.now().utc_ms + 5_000, SYNCED)
    hub.pass_time(1)
    assert hub.notes[-1] == ("clock_stepped", {"milliseconds": "5000"})
    said = event(kind="device_lost", at_ms=before.utc_ms, boot_id=BOOT, monotonic_ms=before.monotonic_ms - 900_000)
    assert hub.times.timed(said).at_ms == before.utc_ms - 900_000


def test_a_kernel_and_a_cloud_that_disagree_are_reported_once() -> None:
    hub = Hub(NOON_MS, SYNCED)
    for ahead_ms in (4_000, 6_000, 60_000, 0, 6_000):
        hub.times.hear_cloud(hub.kernel.now().monotonic_ms, hub.truth_ms + ahead_ms)
    disagreed = [fields for kind, fields in hub.notes if kind == "clock_disagrees"]
    assert disagreed == [{"cloud_ahead_milliseconds": "6000"}] * 2
    assert hub.times.now().utc_ms == hub.truth_ms, "the kernel is believed"


def test_an_alarm_and_its_inputs_get_their_times() -> None:
    hub = Hub(0)
    onset = hub.take()
    hub.pass_time(30)
    now = hub.times.now()
    raised = alarm(
        at_ms=now.utc_ms,
        onset_ms=onset.taken_at_ms,
        boot_id=now.boot_id,
        monotonic_ms=now.monotonic_ms,
        clock_quality=now.quality,
        inputs=(AlarmInput(onset.metric, 80.0, onset.taken_at_ms, None, 1, onset.monotonic_ms),),
    )
    assert hub.times.timed(raised) == raised
    hub.time_service()
    timed = hub.times.timed(raised)
    assert (timed.at_ms, timed.onset_ms) == (hub.truth_ms, hub.truth_ms - 30_000)
    assert timed.inputs[0].taken_at_ms == hub.truth_ms - 30_000
    assert timed.clock_quality is ClockQuality.RESOLVED


def test_it_is_never_earlier_than_the_latest_time_that_was_known() -> None:
    hub = Hub(NOON_MS, SYNCED)
    hub.pass_time(ANCHOR_EVERY_MS / 1000 + 1)
    hub.power_cut(SECOND_BOOT, off_seconds=10, wakes_at_ms=0)
    assert hub.times.floor_ms >= NOON_MS + ANCHOR_EVERY_MS
    assert not hub.times.kernel_knows_time()


def test_knowing_the_time_costs_a_write_an_hour() -> None:
    hub = Hub(NOON_MS, SYNCED)
    before = hub.writes
    for _ in range(4 * 3600 // 10):
        hub.pass_time(10)
    assert hub.writes - before == 4


def test_what_was_kept_can_be_garbage() -> None:
    for garbage in (b"", b"\xff", b"[]", b'{"boots": 3}', b'{"boots": [{"boot_id": 5}]}'):
        kernel = ManualClock(0, UNSYNCED)
        times = TimeKeeper(kernel, garbage, None, lambda values: None, lambda kind, fields: None)
        assert times.floor_ms == 0
        assert not times.knows_time


def test_a_restart_within_a_boot_goes_on_where_it_was() -> None:
    hub = Hub(0)
    hub.take()
    hub.pass_time(10)
    hub.time_service()
    hub.start()
    assert abs(hub.errors_ms()[0]) <= 1
    assert len(json.loads(hub.kept[BOOTS])["boots"]) == 1


def test_the_time_is_not_called_right_for_ever() -> None:
    hub = Hub(0)
    hub.times.hear_cloud(hub.kernel.now().monotonic_ms, hub.truth_ms)
    hub.pass_time(GOOD_FOR_MS / 1000)
    assert hub.times.now().quality is SYNCED
    hub.pass_time(1)
    assert hub.times.now() == Instant(hub.truth_ms, hub.kernel.now().monotonic_ms, BOOT, UNSYNCED)
