"""The store's file: the only importer of sqlite3. Everything here blocks and runs on one thread at a time.

WAL with `synchronous=FULL`: when a transaction ends, the disk has said that it holds the rows.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bedside_agent.buffer.queries import queries
from bedside_agent.errors import DamagedStoreError, StoreError, StoreFullError, StoreWriteError

PAGE_BYTES = 2048
"""A commit writes at least a page and the log's frame around it: smaller ones halve what wears the card. Older stores
keep the 4096 that they were made with."""

LOG_PAGES = 800
"""The log is put into the file after so many pages: 1.6 MB, less than the reserve on a full disk."""

CHECK_SECONDS = 4.0
"""A start waits no longer for the check of a large file; what it did not reach shows itself when it is read."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""ERROR too: a schema whose tables are not there."""

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)

Row = tuple[Any, ...]


class SqliteFile:
    """An open file; statements are those of `queries.sql`, by name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str) -> list[Row]:
        """Run one statement that is not a named query."""
        return self._connection.execute(sql).fetchall()

    def run(self, name: str, values: Mapping[str, object] = {}) -> sqlite3.Cursor:
        """Run a named query."""
        return self._connection.execute(queries()[name], values)

    def run_many(self, name: str, rows: Iterable[Row]) -> None:
        """Run a named query for each of `rows`."""
        self._connection.executemany(queries()[name], rows)

    def rows(self, name: str, values: Mapping[str, object]) -> Generator[Row, None, None]:
        """What a named query finds, one after the other; StoreError when the file cannot be read."""
        cursor = self._connection.cursor()
        try:
            yield from cursor.execute(queries()[name], values)
        except sqlite3.Error as cause:
            raise StoreError(f"the buffer cannot be read: {cause}", cause="the disk is failing") from cause
        finally:
            cursor.close()

    def number(self, name: str, values: Mapping[str, object] = {}) -> int:
        """The one number that a named query finds."""
        return int(self.run(name, values).fetchone()[0])

    def pragma(self, name: str) -> int:
        """A number that SQLite knows of the file."""
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """All that is done inside, or nothing; on the disk when it ends. StoreWriteError otherwise."""
        with self.writing():
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Raise StoreWriteError for what SQLite says inside."""
        try:
            yield
        except sqlite3.Error as cause:
            full = getattr(cause, "sqlite_errorcode", None) in _FULL
            raise (StoreFullError if full else StoreWriteError)(
                f"the buffer could not be written: {cause}",
                cause="the disk is full" if full else "the disk is failing",
                fix="df -h; dmesg | tail",
            ) from cause

    def check(self) -> None:
        """Raise DamagedStoreError when the file's structure is broken, as far as `CHECK_SECONDS` allow a look."""
        until = time.monotonic() + CHECK_SECONDS
        self._connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        try:
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            self._connection.set_progress_handler(None, 0)
        if found != "ok":
            raise DamagedStoreError(found)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextmanager
def opened_whole(path: Path) -> Iterator[SqliteFile]:
    """Open or make the file for writing; it is closed again when what is done inside fails.

    DamagedStoreError when SQLite finds it broken in here, StoreError when it cannot be used.
    """
    try:
        path.touch(mode=0o600, exist_ok=True)
        # The store hands one call after the other to its own thread; `close` may come from another one.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as cause:
        raise StoreError(f"the buffer cannot be opened: {cause}", fix=f"ls -l {path}") from cause
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        yield SqliteFile(connection)
    except sqlite3.Error as cause:
        connection.close()
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise DamagedStoreError(str(cause)) from cause
        raise StoreError(
            f"the buffer cannot be opened: {cause}", cause="the disk is full or failing", fix=f"df -h {path.parent}"
        ) from cause
    except BaseException:
        connection.close()
        raise
    os.chmod(path, 0o600)


@contextmanager
def opened_for_reading(path: Path) -> Iterator[SqliteFile]:
    """The file beside a running agent; StoreError when it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            yield SqliteFile(connection)
    except sqlite3.Error as cause:
        raise StoreError(f"the buffer cannot be read: {cause}", cause="the file is damaged or not a buffer") from cause


def statements(script: str) -> Iterator[str]:
    """The statements of a script, one after the other."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
