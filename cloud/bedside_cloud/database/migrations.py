"""Schema migrations: one file, one transaction each, numbered, never edited; a newer database is refused."""

import re
from collections.abc import Sequence
from pathlib import Path

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class NewerSchemaError(Exception):
    """The database was written by a newer version of the program."""

    def __init__(self, schema: str, part: str, found: int, known: int) -> None:
        super().__init__(
            f"The database's schema {schema} is at version {found} of {part}, this program knows {known}. "
            "Install the newer version again, or restore a backup made by this one."
        )


async def migrate(connection: AsyncConnection[TupleRow], schema: str, folders: Sequence[Path]) -> None:
    """Bring `schema` to the newest version of each folder. Several processes may call it at once."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"migrate {schema}",))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version "
            "(part text PRIMARY KEY, version integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for folder in folders:
            await _apply(connection, schema, folder)


async def _apply(connection: AsyncConnection[TupleRow], schema: str, folder: Path) -> None:
    files = _files(folder)
    part = folder.parent.name
    cursor = await connection.execute("SELECT version FROM schema_version WHERE part = %s", (part,))
    row = await cursor.fetchone()
    present = row[0] if row else 0
    newest = max(files, default=0)
    if present > newest:
        raise NewerSchemaError(schema, part, present, newest)
    for number in range(present + 1, newest + 1):
        await connection.execute(files[number])
        await connection.execute(
            "INSERT INTO schema_version (part, version) VALUES (%s, %s) "
            "ON CONFLICT (part) DO UPDATE SET version = excluded.version, applied_at = now()",
            (part, number),
        )


def _files(folder: Path) -> dict[int, bytes]:
    """Number → text of each migration in `folder`."""
    return {int(match[1]): path.read_bytes() for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))}
