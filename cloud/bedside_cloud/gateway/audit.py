"""Who read which patient's data, written down before the answer goes out.

The log's rows are numbered, timed and chained by the database; this only adds to it.
"""

import asyncio
import logging

from bedside_cloud.bus.errors import UnansweredError
from bedside_cloud.database.pool import Database
from bedside_cloud.gateway.viewers import Read, Viewer

LOG = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0
"""How long a page waits for a database that is away before it is answered with 503."""

INSERT = (
    b"INSERT INTO audit.reads (person_id, patient_id, what) SELECT person_id::uuid, patient_id::uuid, what FROM"
    b" unnest(%(person_ids)s::text[], %(patient_ids)s::text[], %(whats)s::text[]) AS read (person_id, patient_id, what)"
)


class Audit:
    """Requests that come together share one transaction: nobody waits for another's turn at the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[str, frozenset[Read], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, viewer: Viewer) -> None:
        """Write down what the viewer was about to be shown; UnansweredError when that is not possible.

        Then nothing may be shown: a read that nobody can find later is worse than a page that has to be reloaded.
        """
        reads = frozenset(viewer.reads)
        if not reads:
            return
        viewer.reads.clear()
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((viewer.person_id, reads, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        await done

    async def _write_all(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            failure: UnansweredError | None = None
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._insert([(person_id, read) for person_id, reads, _ in taken for read in sorted(reads)])
            except Exception as cause:  # whatever it was, it is not written: nothing of this may be shown
                LOG.warning("audit_not_written cause=%s", type(cause).__name__)
                failure = UnansweredError("the audit log")
            for _, _, done in taken:
                if done.done():
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)

    async def _insert(self, rows: list[tuple[str, Read]]) -> None:
        parameters = {
            "person_ids": [person_id for person_id, _ in rows],
            "patient_ids": [read.patient_id for _, read in rows],
            "whats": [read.what for _, read in rows],
        }
        async with self._database.transaction() as connection:
            await connection.execute(INSERT, parameters)
