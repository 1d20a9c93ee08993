"""The outbox: what a transaction caused is told to its consumer at least once, in order of its key.

The row lives until the consumer has answered after its own commit, so neither the broker nor a crash can lose it.
Consumers are idempotent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bedside_cloud.database.pool import Connection, Database, fetch_all, unavailable
from bedside_cloud.database.queries import Queries

LOG = logging.getLogger(__name__)
SQL = Queries(Path(__file__).parent / "outbox.sql")

Deliver = Callable[[str, bytes], Awaitable[bool]]
"""Subject and body to the consumer; True once it has answered that it committed."""


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """Times in seconds.

    `lease_seconds`: how long one delivery may take before another replica may try; longer than the request's
    time-out. `sweep_seconds`: how often rows are looked for that nobody was told of. `slowest_retry_seconds`: cap of
    the doubling pause after failed deliveries; short, because an alarm may wait behind it.
    """

    lease_seconds: float = 10.0
    sweep_seconds: float = 1.0
    slowest_retry_seconds: float = 5.0
    most_at_once: int = 64


async def enqueue(connection: Connection, subject: str, ordering_key: str, body: bytes) -> None:
    """Write one row in the caller's transaction; call `Relay.kick` after the commit."""
    await connection.execute(SQL["enqueue"], {"subject": subject, "ordering_key": ordering_key, "body": body})


def retry_seconds(attempts: int, slowest_seconds: float) -> float:
    """The pause after the given number of failed attempts: doubling from 0.1 s, capped."""
    return float(min(slowest_seconds, 0.1 * 2 ** min(attempts - 1, 16)))


class Relay:
    """Delivers outbox rows, one at a time for each ordering key, many keys at once."""

    def __init__(self, database: Database, deliver: Deliver, settings: OutboxSettings | None = None) -> None:
        self._database = database
        self._deliver = deliver
        self._settings = settings or OutboxSettings()
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Look for rows now instead of at the next sweep."""
        self._kicked.set()

    async def run(self) -> None:
        """Deliver for ever; a database that is away only delays."""
        while True:
            self._kicked.clear()
            try:
                while await self._round():
                    pass
            except unavailable as cause:
                LOG.warning("outbox_waits cause=%s", type(cause).__name__)
                await asyncio.sleep(self._settings.sweep_seconds)
            try:
                async with asyncio.timeout(self._settings.sweep_seconds):
                    await self._kicked.wait()
            except TimeoutError:
                pass

    async def _round(self) -> bool:
        """Deliver what is due once; True when something was delivered and more may follow behind it."""
        async with self._database.transaction() as connection:
            await connection.execute("SET LOCAL synchronous_commit = off")
            rows = await fetch_all(
                connection,
                SQL["lease"],
                {"lease_seconds": self._settings.lease_seconds, "most": self._settings.most_at_once},
            )
        results = await asyncio.gather(*(self._one(*row) for row in rows))
        return any(results)

    async def _one(self, outbox_id: int, subject: str, body: bytes, attempts: int) -> bool:
        done = await self._deliver(subject, body)
        async with self._database.transaction() as connection:
            # A lost deletion only delivers again, which consumers bear; so it need not wait for the disk.
            await connection.execute("SET LOCAL synchronous_commit = off")
            if done:
                await connection.execute(SQL["settle"], {"outbox_id": outbox_id})
            else:
                seconds = retry_seconds(attempts, self._settings.slowest_retry_seconds)
                await connection.execute(SQL["postpone"], {"outbox_id": outbox_id, "seconds": seconds})
        return done
