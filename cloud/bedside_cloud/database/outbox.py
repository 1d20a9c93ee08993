"""The outbox: what a transaction caused is told to its consumer at least once, in order of its key.

The row lives until the consumer has answered after its own commit, so neither the broker nor a crash can lose it.
Consumers are idempotent, and bear a row that was overtaken: one that they refuse again and again stands aside, so
that an alarm never waits for ever behind one that cannot be told.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside_cloud.contracts.delivery import Delivery
from bedside_cloud.database.pool import Connection, Database, fetch_all, unavailable
from bedside_cloud.database.queries import Queries

LOG = logging.getLogger(__name__)
SQL = Queries(Path(__file__).parent / "outbox.sql")

Deliver = Callable[[str, bytes], Coroutine[Any, Any, Delivery]]
"""Subject and body to the consumer, and what became of it."""


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """Times in seconds.

    `lease_seconds`: how long one delivery may take before another replica may try; longer than the request's
    time-out. `sweep_seconds`: how often rows are looked for that nobody was told of. `slowest_retry_seconds`: cap of
    the doubling pause after failed deliveries, and for urgent rows. `most_refusals`: after so many a row stands aside.
    `most_at_once`: deliveries under way; ordinary rows leave room for urgent ones.
    """

    lease_seconds: float = 10.0
    sweep_seconds: float = 1.0
    slowest_retry_seconds: float = 5.0
    slowest_urgent_retry_seconds: float = 1.0
    most_refusals: int = 8
    most_at_once: int = 64
    most_ordinary_at_once: int = 48


@dataclass(frozen=True, slots=True)
class Leased:
    """One row in our hands."""

    outbox_id: int
    subject: str
    body: bytes
    attempts: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class Due:
    """What must be told to the service that answers on `subject`, in order with the other rows of `ordering_key`."""

    subject: str
    ordering_key: str
    body: bytes
    urgent: bool = False


async def enqueue(connection: Connection, *due: Due) -> None:
    """Write rows in the caller's transaction; call `Relay.kick` after the commit."""
    if due:
        await connection.execute(
            SQL["enqueue"],
            {
                "subjects": [one.subject for one in due],
                "ordering_keys": [one.ordering_key for one in due],
                "bodies": [one.body for one in due],
                "urgent": [one.urgent for one in due],
            },
        )


def retry_seconds(attempts: int, slowest_seconds: float) -> float:
    """The pause after the given number of failed attempts: doubling from 0.1 s, capped."""
    return float(min(slowest_seconds, 0.1 * 2 ** min(attempts - 1, 16)))


class Relay:
    """Delivers outbox rows, one at a time for each ordering key, many keys at once, none waiting for another."""

    def __init__(self, database: Database, deliver: Deliver, settings: OutboxSettings | None = None) -> None:
        self._database = database
        self._deliver = deliver
        self._settings = settings or OutboxSettings()
        self._kicked = asyncio.Event()
        self._under_way: dict[asyncio.Task[Delivery], Leased] = {}

    def kick(self) -> None:
        """Look for rows now instead of at the next sweep."""
        self._kicked.set()

    async def run(self) -> None:
        """Deliver for ever; a database that is away only delays."""
        ended: list[tuple[Leased, Delivery]] = []
        try:
            while True:
                self._kicked.clear()
                ended += self._take_ended()
                try:
                    leased = await self._round(ended)
                except unavailable as cause:
                    # What ended is settled in a later round; what is leased comes again when its lease is over.
                    LOG.warning("outbox_waits cause=%s", type(cause).__name__)
                    await asyncio.sleep(self._settings.sweep_seconds)
                    continue
                ended = []
                for row in leased:
                    task = asyncio.create_task(self._deliver(row.subject, row.body))
                    task.add_done_callback(lambda _task: self._kicked.set())
                    self._under_way[task] = row
                await self._wait()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._settings.sweep_seconds):
                await self._kicked.wait()
        except TimeoutError:
            pass

    def _take_ended(self) -> list[tuple[Leased, Delivery]]:
        ended = []
        for task in [task for task in self._under_way if task.done()]:
            row = self._under_way.pop(task)
            failure = task.exception()
            if failure is not None:
                LOG.error("delivery_failed subject=%s", row.subject, exc_info=failure)
            ended.append((row, Delivery.REFUSED if failure is not None else task.result()))
        return ended

    async def _round(self, ended: list[tuple[Leased, Delivery]]) -> list[Leased]:
        """Settle what ended and lease what is due, in one transaction."""
        settings = self._settings
        ordinary = sum(not row.urgent for row in self._under_way.values())
        room = {
            "lease_seconds": settings.lease_seconds,
            "most": settings.most_at_once - len(self._under_way),
            "most_ordinary": max(0, settings.most_ordinary_at_once - ordinary),
        }
        async with self._database.transaction() as connection, connection.pipeline():
            # What is lost of this only delivers again, which consumers bear; so it need not wait for the disk.
            await connection.execute(SQL["lazily"])
            committed = [row.outbox_id for row, outcome in ended if outcome is Delivery.COMMITTED]
            if committed:
                await connection.execute(SQL["settle"], {"outbox_ids": committed})
            for row, outcome in ended:
                if outcome is not Delivery.COMMITTED:
                    await connection.execute(SQL["postpone"], self._postponement(row, outcome))
            rows = await fetch_all(connection, SQL["lease"], room)
        return [Leased(*row) for row in sorted(rows, key=lambda row: (not row[4], row[0]))]

    def _postponement(self, row: Leased, outcome: Delivery) -> dict[str, object]:
        settings = self._settings
        slowest = settings.slowest_urgent_retry_seconds if row.urgent else settings.slowest_retry_seconds
        return {
            "outbox_id": row.outbox_id,
            "seconds": retry_seconds(row.attempts, slowest),
            "refused": outcome is Delivery.REFUSED,
            "most_refusals": settings.most_refusals,
        }
