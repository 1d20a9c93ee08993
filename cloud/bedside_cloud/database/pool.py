"""A service's own connection pool: its role, its schema, every transaction explicit. The only maker of connections."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from bedside_cloud.database.migrations import migrate
from bedside_cloud.secret import Secret

Connection = AsyncConnection[TupleRow]
SHARED_SCHEMA = Path(__file__).parent / "schema"

unavailable = (psycopg.OperationalError, psycopg.InterfaceError)
"""What a transaction raises when the server is away or going away: nothing was committed, or it is not known."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """`dsn` is a libpq connection string with the service's own role; `schema` the one schema that it owns."""

    dsn: Secret
    schema: str
    most_connections: int = 8


class Database:
    """Transactions on the service's schema. Open it with `Database.open`."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DatabaseSettings, migrations: Sequence[Path]) -> AsyncIterator["Database"]:
        """Wait for the server, bring the schema up to date, and keep a pool until the block ends.

        `migrations` are folders of `NNNN_name.sql`; the outbox is always among them. Raises
        `psycopg_pool.PoolTimeout` when the server does not answer within 60 s.
        """

        async def configure(connection: Connection) -> None:
            await connection.set_autocommit(False)

        async with AsyncConnectionPool(
            settings.dsn.reveal(),
            connection_class=Connection,
            min_size=1,
            max_size=settings.most_connections,
            kwargs={"options": f"-c search_path={settings.schema}"},
            configure=configure,
            check=AsyncConnectionPool.check_connection,
            open=False,
            reconnect_timeout=10,
        ) as pool:
            await pool.wait(timeout=60)
            async with pool.connection() as connection:
                await migrate(connection, settings.schema, (SHARED_SCHEMA, *migrations))
            yield cls(pool)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self._pool.connection() as connection, connection.transaction():
            yield connection


async def fetch_all(connection: Connection, statement: bytes, parameters: dict[str, Any]) -> list[TupleRow]:
    """Every row of a named statement."""
    cursor = await connection.execute(statement, parameters)
    return await cursor.fetchall()
