"""A service's own copy of another's snapshot: kept in its schema, refreshed by hint and in turn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from psycopg.types.json import Jsonb
from pydantic import BaseModel, ValidationError

from bedside_cloud.database.pool import Connection, Database, fetch_all, unavailable
from bedside_cloud.database.queries import Queries

LOG = logging.getLogger(__name__)
SQL = Queries(Path(__file__).parent / "projection.sql")

REFRESH_SECONDS = 20.0
"""How often the snapshot is fetched although nobody said that it changed: the bound on a lost hint."""

FIRST_RETRY_SECONDS = 0.5
"""Until the first answer came, ask often: a service that starts before its neighbour must not wait a whole turn."""

Snapshot = TypeVar("Snapshot", bound=BaseModel)


class Projection(Generic[Snapshot]):
    """The newest snapshot heard. `fetch` returns None when the other service does not answer.

    `apply` runs in the transaction that keeps the snapshot, after `current` was set.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        empty: Snapshot,
        fetch: Callable[[], Awaitable[Snapshot | None]],
        apply: Callable[[Connection, Snapshot], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._name = name
        self._fetch = fetch
        self._apply = apply
        self._changed = asyncio.Event()
        self._heard = False
        self.current = empty

    async def load(self) -> None:
        """Take up what was last known, then what the other service says now, if it answers.

        What was kept by another version of this program and cannot be read is as if it had never been kept.
        """
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["load_projection"], {"name": self._name})
        if rows:
            try:
                self.current = type(self.current).model_validate(rows[0][0])
            except ValidationError as wrong:
                LOG.warning("snapshot_not_readable name=%s faults=%d", self._name, wrong.error_count())
        await self._try_to_refresh()

    async def hint(self, _subject: str, _body: bytes) -> None:
        """The other service said that something changed."""
        self._changed.set()

    async def run(self) -> None:
        """Keep the copy fresh for ever."""
        while True:
            try:
                async with asyncio.timeout(REFRESH_SECONDS if self._heard else FIRST_RETRY_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self._try_to_refresh()

    async def _try_to_refresh(self) -> None:
        try:
            await self.refresh()
        except unavailable as cause:
            LOG.warning("snapshot_waits name=%s cause=%s", self._name, type(cause).__name__)
        except Exception as failure:  # the other service may be of another version: live on what was last understood
            LOG.exception("snapshot_not_usable name=%s", self._name, exc_info=failure)

    async def refresh(self) -> None:
        """Fetch, keep and apply the snapshot; nothing changes when nobody answers."""
        snapshot = await self._fetch()
        if snapshot is None:
            return
        self._heard = True
        self.current = snapshot
        async with self._database.transaction() as connection:
            body = Jsonb(snapshot.model_dump(mode="json"))
            await connection.execute(SQL["save_projection"], {"name": self._name, "body": body})
            if self._apply:
                await self._apply(connection, snapshot)
