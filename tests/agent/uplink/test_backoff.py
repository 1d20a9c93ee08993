"""Full jitter under a capped exponential."""

from bedside_agent.uplink.backoff import FIRST_SECONDS, MOST_SECONDS, wait_seconds


def test_the_span_doubles_up_to_its_cap() -> None:
    assert [wait_seconds(failures, 1.0) for failures in range(3)] == [
        FIRST_SECONDS,
        2 * FIRST_SECONDS,
        4 * FIRST_SECONDS,
    ]
    assert wait_seconds(40, 1.0) == wait_seconds(10**9, 1.0) == MOST_SECONDS


def test_the_whole_span_is_used() -> None:
    assert wait_seconds(5, 0.0) == 0
    assert wait_seconds(5, 0.25) == wait_seconds(5, 1.0) / 4
