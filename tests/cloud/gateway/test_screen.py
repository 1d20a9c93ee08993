"""One open event stream: order, heartbeat, and what happens when the browser is slow."""

import json
from collections.abc import AsyncIterator

import pytest

from bedside_cloud.gateway.live import BEAT_SECONDS, QUEUE_LENGTH, Screen


async def taken(stream: AsyncIterator[str], number: int) -> list[tuple[str, object]]:
    events = []
    for _ in range(number):
        kind, data = (await anext(stream)).strip().split("\n")[-2:]
        events.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


async def test_events_come_in_order_after_hello() -> None:
    screen = Screen(frozenset())
    screen.offer("alert", {"version": 1})
    screen.offer("alert", {"version": 2})
    stream = screen.stream()
    events = await taken(stream, 3)
    assert [kind for kind, _ in events] == ["hello", "alert", "alert"]
    assert [data for _, data in events[1:]] == [{"version": 1}, {"version": 2}]


@pytest.mark.looptime
async def test_a_quiet_stream_beats() -> None:
    stream = Screen(frozenset()).stream()
    events = await taken(stream, 3)
    assert [kind for kind, _ in events] == ["hello", "beat", "beat"]
    assert BEAT_SECONDS < 10 / 3, "the page turns red after 10 s; three beats must fit"


async def test_a_browser_that_cannot_keep_up_is_told_to_fetch_everything() -> None:
    screen = Screen(frozenset())
    for version in range(QUEUE_LENGTH + 1):
        screen.offer("alert", {"version": version})
    stream = screen.stream()
    events = await taken(stream, 3)
    assert events[1:] == [("resync", {}), ("alert", {"version": QUEUE_LENGTH})]
