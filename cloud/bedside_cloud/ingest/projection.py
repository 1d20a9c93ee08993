"""Ingest's own copy of the assignments, so that it stores while registry is away."""

import asyncio
import logging

from psycopg.types.json import Jsonb

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import BusError
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.registry import ASSIGNMENTS, AssignmentSnapshot
from bedside_cloud.database.pool import Database, fetch_all, unavailable
from bedside_cloud.ingest.assignments import NOBODY, Assignments
from bedside_cloud.ingest.store import SQL, to_time

LOG = logging.getLogger(__name__)
NAME = "assignments"
REFRESH_SECONDS = 20.0
"""How often the snapshot is fetched although nobody said that it changed: the bound on a lost hint."""


class Projection:
    """The assignments in force, refreshed by hint and in turn; unassigned readings are attached when they change."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._changed = asyncio.Event()
        self.current = Assignments(NOBODY)

    async def load(self) -> None:
        """Take up what was last known, then what registry says now if it answers."""
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["load_projection"], {"name": NAME})
        if rows:
            self.current = Assignments(AssignmentSnapshot.model_validate(rows[0][0]))
        await self._refresh()

    async def hint(self, _subject: str, _body: bytes) -> None:
        """Registry said that something changed."""
        self._changed.set()

    async def run(self) -> None:
        """Keep the copy fresh for ever."""
        while True:
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            try:
                await self._refresh()
            except unavailable as cause:
                LOG.warning("assignments_wait cause=%s", type(cause).__name__)

    async def _refresh(self) -> None:
        try:
            snapshot = await self._bus.request(ASSIGNMENTS, Empty(), AssignmentSnapshot)
        except BusError as cause:
            LOG.info("assignments_kept cause=%s", cause)
            return
        self.current = Assignments(snapshot)
        async with self._database.transaction() as connection:
            await connection.execute(
                SQL["save_projection"],
                {"name": NAME, "version": snapshot.version, "body": Jsonb(snapshot.model_dump(mode="json"))},
            )
            for one in snapshot.assignments:
                await connection.execute(
                    SQL["attach_readings"],
                    {
                        "patient_id": one.patient_id,
                        "device_id": one.device_id,
                        "from_at": to_time(one.from_ms),
                        "until_at": None if one.until_ms is None else to_time(one.until_ms),
                    },
                )
