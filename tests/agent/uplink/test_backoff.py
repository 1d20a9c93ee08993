"""Full jitter under a capped exponential, and what a broker sees of 42,000 hubs that do it at the same moment."""

import random
from collections import defaultdict

import pytest

from bedside_agent.uplink.backoff import Backoff

HUBS = 42_000
BACKOFF = Backoff()
HANDSHAKE_SECONDS = 10
"""After so long an attempt that nobody answers has failed."""


def test_the_span_doubles_up_to_its_cap() -> None:
    assert [BACKOFF.wait_seconds(failures, 1.0) for failures in (0, 1, 2, 40, 10**9)] == [20, 40, 60, 60, 60]
    with_alarm = [BACKOFF.wait_with_alarm_seconds(failures, 1.0) for failures in (0, 1, 2, 3, 4, 10**9)]
    assert with_alarm == [2, 4, 8, 16, 30, 30]


def test_the_whole_span_is_used() -> None:
    assert BACKOFF.wait_seconds(5, 0.0) == 0
    assert BACKOFF.wait_seconds(5, 0.25) == BACKOFF.wait_seconds(5, 1.0) / 4


class Fleet:
    """Every hub lost its connection in second 0. `alarmed` of them have an alarm waiting."""

    def __init__(self, *, alarmed: float = 0.0, failures: int = 0) -> None:
        self.attempts: dict[int, int] = defaultdict(int)
        self.back: dict[int, int] = defaultdict(int)
        self._chance = random.Random(42)
        self._alarmed = round(HUBS * alarmed)
        self._due: dict[int, list[int]] = defaultdict(list)
        self._failures = [failures] * HUBS
        for hub in range(HUBS):
            self._wait(hub, 0.0)

    def run(self, broker_is_up: range, *, a_second: int, seconds: int) -> None:
        """The broker lets in so many a second while it is up; whoever else tries waits for the time-out."""
        for second in range(seconds):
            trying = self._due.pop(second, [])
            self._chance.shuffle(trying)
            self.attempts[second] += len(trying)
            let_in = a_second if second in broker_is_up else 0
            self.back[second] += min(let_in, len(trying))
            for hub in trying[let_in:]:
                self._failures[hub] += 1
                self._wait(hub, second + HANDSHAKE_SECONDS)

    def all_back_at(self) -> int:
        """The second in which the last one was let in; StopIteration while one is out."""
        total = 0
        return next(second for second in sorted(self.back) if (total := total + self.back[second]) == HUBS)

    def _wait(self, hub: int, now: float) -> None:
        wait = BACKOFF.wait_with_alarm_seconds if hub < self._alarmed else BACKOFF.wait_seconds
        self._due[int(now + wait(self._failures[hub], self._chance.random()))].append(hub)


@pytest.mark.parametrize("alarmed", [0.0, 0.02])
def test_after_a_broker_restart_no_more_than_it_can_take_come_at_once(alarmed: float) -> None:
    fleet = Fleet(alarmed=alarmed)
    fleet.run(range(3, 300), a_second=3000, seconds=300)
    assert max(fleet.attempts.values()) <= 2_500 + alarmed * HUBS / 2 + 100
    assert fleet.all_back_at() <= 60


def test_after_an_hour_without_a_region_they_come_back_spread_over_a_minute() -> None:
    # After an hour every hub waits the longest span: the last ten minutes of the hour stand for it.
    outage = 600
    fleet = Fleet(failures=10)
    fleet.run(range(outage, outage + 300), a_second=3000, seconds=outage + 300)
    settled = [number for second, number in fleet.attempts.items() if second >= 120]
    assert max(settled) <= 1_500
    assert fleet.all_back_at() - outage <= 60 + HANDSHAKE_SECONDS


def test_a_broker_that_takes_few_has_all_of_them_back_in_the_end() -> None:
    fleet = Fleet(failures=0)
    fleet.run(range(3, 900), a_second=500, seconds=900)
    settled = [number for second, number in fleet.attempts.items() if second >= 60]
    assert max(settled) <= 1_500
    assert fleet.all_back_at() <= 600


def test_even_if_every_hub_had_an_alarm_the_attempts_are_bounded() -> None:
    fleet = Fleet(alarmed=1.0, failures=10)
    fleet.run(range(0), a_second=0, seconds=300)
    assert max(number for second, number in fleet.attempts.items() if second >= 60) <= 2_800
