"""Alarms and events that the disk did not take in time: they are sent from memory, and stored as soon as it does.

They keep the identity that they will be stored under. A start makes a new store id, so that nobody else gets it even
when the hub stops before the disk has taken them.
"""

import asyncio

from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Item
from bedside_agent.buffer.ranges import Range
from bedside_profiles.wire.topics import UpLane

OVERDUE_SECONDS = 1.0
"""An alarm waits no longer for the disk before it is sent without it."""


class Adrift:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._items: dict[UpLane, dict[int, Item]] = {}
        self._news: asyncio.Future[None] | None = None

    def add(self, lane: UpLane, item: Item) -> None:
        """An item that is not on the disk."""
        self._items.setdefault(lane, {})[span(item)[0]] = item
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def landed(self, lane: UpLane, item: Item) -> None:
        """It is on the disk now."""
        self._items.get(lane, {}).pop(span(item)[0], None)

    def within(self, lane: UpLane, wanted: Range) -> tuple[Item, ...]:
        """Items of one lane between two sequences, rising."""
        found = self._items.get(lane, {})
        return tuple([found[seq] for seq in sorted(found) if wanted[0] <= seq <= wanted[1]])

    def news(self) -> "asyncio.Future[None]":
        """Resolves when the next item is added: whoever waits for the disk then has something better to do."""
        if self._news is None or self._news.done():
            self._news = asyncio.get_running_loop().create_future()
        return self._news
