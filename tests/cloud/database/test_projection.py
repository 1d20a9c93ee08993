"""A service's own copy of another's snapshot: it works while the other one is away, and follows when it is back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from tests.support.database import TestDatabase

from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot
from bedside_cloud.database.pool import Connection, Database
from bedside_cloud.database.projection import Projection

EMPTY = AssignmentSnapshot(version=0, assignments=())


def snapshot(version: int) -> AssignmentSnapshot:
    return AssignmentSnapshot(
        version=version, assignments=(Assignment(device_id=f"device-{version}", patient_id="p", from_ms=0),)
    )


class Neighbour:
    """The service that has the snapshot: `says` it, is silent (None), or says what nobody understands."""

    def __init__(self, says: AssignmentSnapshot | Exception | None) -> None:
        self.says = says
        self.asked = asyncio.Queue[None]()

    async def fetch(self) -> AssignmentSnapshot | None:
        self.asked.put_nowait(None)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
async def opened(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.settings("ingest"), ()) as opened:
        yield opened


@asynccontextmanager
async def running(projection: Projection[AssignmentSnapshot]) -> AsyncIterator[None]:
    task = asyncio.create_task(projection.run())
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)


async def until_version(projection: Projection[AssignmentSnapshot], version: int) -> None:
    async with asyncio.timeout(10):
        while projection.current.version != version:
            await projection.hint("", b"")
            await asyncio.sleep(0.01)


async def test_what_was_last_heard_is_there_after_a_start_without_the_neighbour(opened: Database) -> None:
    first = Projection(opened, "one", EMPTY, Neighbour(snapshot(3)).fetch)
    await first.load()
    again = Projection(opened, "one", EMPTY, Neighbour(None).fetch)
    await again.load()
    assert again.current == first.current == snapshot(3)
    other = Projection(opened, "another", EMPTY, Neighbour(None).fetch)
    await other.load()
    assert other.current is EMPTY


async def test_until_the_first_answer_it_asks_often(opened: Database) -> None:
    neighbour = Neighbour(None)
    projection = Projection(opened, "one", EMPTY, neighbour.fetch)
    await projection.load()
    async with running(projection), asyncio.timeout(10):
        for _ in range(3):
            await neighbour.asked.get()
        neighbour.says = snapshot(1)
        while projection.current.version != 1:
            await neighbour.asked.get()
            await asyncio.sleep(0)


async def test_a_hint_is_followed_and_applied_in_the_same_transaction(opened: Database) -> None:
    applied: list[int] = []

    async def apply(connection: Connection, heard: AssignmentSnapshot) -> None:
        row = await (await connection.execute("SELECT body ->> 'version' FROM projections")).fetchone()
        assert row == (str(heard.version),)
        applied.append(heard.version)

    neighbour = Neighbour(snapshot(1))
    projection = Projection(opened, "one", EMPTY, neighbour.fetch, apply)
    await projection.load()
    async with running(projection):
        neighbour.says = snapshot(2)
        await until_version(projection, 2)
    assert applied[0] == 1
    assert applied[-1] == 2


async def test_a_database_that_is_away_costs_nothing_but_the_memory_of_the_next_start(
    opened: Database, database: TestDatabase
) -> None:
    neighbour = Neighbour(snapshot(1))
    projection = Projection(opened, "one", EMPTY, neighbour.fetch)
    await projection.load()
    async with running(projection):
        with database.away():
            neighbour.says = snapshot(2)
            await until_version(projection, 2)
        neighbour.says = snapshot(3)
        await until_version(projection, 3)


async def test_an_answer_that_cannot_be_understood_leaves_the_last_one_standing(
    opened: Database, caplog: pytest.LogCaptureFixture
) -> None:
    neighbour = Neighbour(snapshot(1))
    projection = Projection(opened, "one", EMPTY, neighbour.fetch)
    await projection.load()
    async with running(projection):
        neighbour.says = ValueError("of another version")
        await projection.hint("", b"")
        async with asyncio.timeout(10):
            while "snapshot_not_usable" not in caplog.text:
                await asyncio.sleep(0.01)
        assert projection.current == snapshot(1)
        neighbour.says = snapshot(2)
        await until_version(projection, 2)


async def test_what_another_version_kept_and_cannot_be_read_is_as_if_never_kept(
    opened: Database, database: TestDatabase
) -> None:
    await Projection(opened, "one", EMPTY, Neighbour(snapshot(1)).fetch).load()
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute('UPDATE ingest.projections SET body = \'{"version": "x"}\'')
    projection = Projection(opened, "one", EMPTY, Neighbour(None).fetch)
    await projection.load()
    assert projection.current is EMPTY
