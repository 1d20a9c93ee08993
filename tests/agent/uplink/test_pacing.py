"""The link's window against a modelled link: what an alarm finds in front of it, and what the link carries."""

import heapq
from dataclasses import dataclass, field

import pytest

from bedside_agent.uplink.pacing import (
    EMPTY_EVERY_MS,
    LEAST_BATCH_BYTES,
    QUEUE_MS,
    Allowance,
    Departure,
    Pace,
)

MOST_BATCH, MOST_WINDOW = 16 * 1024, 1024 * 1024


@dataclass
class Link:
    """Carries so many bytes a second behind a queue without end, and acknowledges a round trip later."""

    bytes_per_second: int
    round_trip_ms: int
    now_ms: int = 0
    free_ms: float = 0.0
    carried: int = 0
    acknowledged: list[tuple[int, int, Departure]] = field(default_factory=list)

    def take(self, batch: Departure) -> None:
        self.free_ms = max(self.free_ms, self.now_ms) + batch.size_bytes * 1000 / self.bytes_per_second
        self.carried += batch.size_bytes
        back_ms = int(self.free_ms) + self.round_trip_ms
        heapq.heappush(self.acknowledged, (back_ms, self.carried, batch))

    def queue_ms(self) -> float:
        """How long something that comes now waits until it leaves."""
        return max(0.0, self.free_ms - self.now_ms)

    def drain(self, pace: Pace, seconds: int) -> list[float]:
        """Send as much as may leave; the queue at each millisecond."""
        queues = []
        for _ in range(seconds * 1000):
            self.now_ms += 1
            while self.acknowledged and self.acknowledged[0][0] <= self.now_ms:
                pace.arrive(heapq.heappop(self.acknowledged)[2], self.now_ms)
            while pace.has_room(self.now_ms):
                self.take(pace.leave(pace.batch_bytes, self.now_ms))
            queues.append(self.queue_ms())
        return queues


@pytest.mark.parametrize("kbit", [32, 64, 256, 1000, 20_000])
@pytest.mark.parametrize("round_trip_ms", [5, 150, 600])
def test_the_queue_stays_short_and_the_link_busy(kbit: int, round_trip_ms: int) -> None:
    pace, link = Pace(MOST_BATCH, MOST_WINDOW), Link(kbit * 125, round_trip_ms)
    link.drain(pace, 10)
    before, began_ms = link.carried, link.now_ms
    queues = link.drain(pace, 120)
    one_batch_ms = LEAST_BATCH_BYTES * 8 / kbit
    assert max(queues) <= 2 * QUEUE_MS + round_trip_ms + one_batch_ms
    used = (link.carried - before) / ((link.now_ms - began_ms) / 1000) / link.bytes_per_second
    most = min(1.0, MOST_WINDOW / (link.bytes_per_second * round_trip_ms / 1000))
    assert used >= 0.75 * most


def test_the_first_second_of_a_connection_queues_little_either() -> None:
    pace, link = Pace(MOST_BATCH, MOST_WINDOW), Link(32_000, 200)
    assert max(link.drain(pace, 5)) <= 2 * QUEUE_MS


def test_a_link_that_becomes_slow_is_given_less_and_more_when_it_recovers() -> None:
    pace, link = Pace(MOST_BATCH, MOST_WINDOW), Link(1_000_000, 50)
    link.drain(pace, 10)
    link.bytes_per_second = 32_000
    link.drain(pace, 10)
    assert max(link.drain(pace, 30)) <= 2 * QUEUE_MS
    link.bytes_per_second = 1_000_000
    link.drain(pace, 30)
    before = link.carried
    link.drain(pace, 10)
    assert link.carried - before >= 0.7 * 10 * link.bytes_per_second


def test_a_way_that_became_longer_is_measured_again() -> None:
    pace, link = Pace(MOST_BATCH, MOST_WINDOW), Link(100_000, 20)
    link.drain(pace, 5)
    link.round_trip_ms = 700
    link.drain(pace, 2 * EMPTY_EVERY_MS // 1000)
    before = link.carried
    link.drain(pace, 20)
    assert link.carried - before >= 0.7 * 20 * link.bytes_per_second


def test_a_new_connection_knows_nothing_of_the_one_before() -> None:
    pace, link = Pace(MOST_BATCH, MOST_WINDOW), Link(1_000_000, 5)
    link.drain(pace, 5)
    wide = pace.window_bytes
    pace.begin()
    assert pace.window_bytes < wide
    assert pace.on_link_bytes == 0
    assert pace.has_room(link.now_ms)


@pytest.mark.parametrize("rate", [1_000, 5_000, 100_000])
def test_the_allowance_is_kept_in_the_long_run(rate: int) -> None:
    allowance, now_ms, spent = Allowance(rate), 0, 0
    while now_ms < 600_000:
        now_ms = max(now_ms + 1, allowance.ready_ms(now_ms))
        if allowance.ready_ms(now_ms) <= now_ms:
            allowance.spend(allowance.batch_bytes, now_ms)
            spent += allowance.batch_bytes
    assert 0.95 * rate * 600 <= spent <= rate * 601 + 2 * allowance.batch_bytes


def test_what_was_not_used_is_kept_for_a_second_only() -> None:
    allowance = Allowance(10_000)
    allowance.spend(10_000, 0)
    allowance.spend(10_000, 3_600_000)
    assert allowance.ready_ms(3_600_000) == 3_600_000
    allowance.spend(1, 3_600_000)
    assert allowance.ready_ms(3_600_000) == 3_600_001
