"""The store's file: the only importer of sqlite3. Everything here blocks and runs on one thread at a time.

WAL with `synchronous=FULL`: when a transaction ends, the disk has said that it holds the rows.
"""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bedside_agent.buffer.contents import LANES
from bedside_agent.buffer.queries import queries
from bedside_agent.buffer.salvage import suspect
from bedside_agent.errors import DamagedStoreError, DiskRefusesError, StoreError, StoreFullError, StoreWriteError

PAGE_BYTES = 2048
"""A commit writes at least a page and the log's frame around it: smaller ones halve what wears the card. Older stores
keep the 4096 that they were made with."""

LOG_PAGES = 800
"""The log is put into the file after so many pages: 1.6 MB, less than the reserve on a full disk."""

CACHE_KIB = 64
"""Pages that SQLite keeps in memory. Rows are written once and read once: its own two megabytes would only fill up, for
minutes, and look like a leak."""

CHECKED_PAGES = 16_384
"""A file of so many pages (32 MB) is checked whole at the start: seconds on a slow card."""

CHECKED_ROWS = 256
"""Of a larger file, so many rows at either end of each lane are read: where it grows, and where it is sent from."""

LITTLE_TABLES = ("stores", "settled", "marks", "state")

_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DAMAGED = (*_BROKEN, sqlite3.SQLITE_ERROR)
"""ERROR too: a schema whose tables are not there."""

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)

Row = tuple[Any, ...]


class SqliteFile:
    """An open file; statements are those of `queries.sql`, by name.

    DamagedStoreError comes out of whatever meets damage after the start; the next start then puts the file aside.
    """

    def __init__(self, connection: sqlite3.Connection, suspect: Path | None) -> None:
        self._connection = connection
        self._suspect = suspect

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
        with self.reading(), contextlib.closing(self._connection.cursor()) as cursor:
            yield from cursor.execute(queries()[name], values)

    def number(self, name: str, values: Mapping[str, object] = {}) -> int:
        """The one number that a named query finds."""
        return int(self.run(name, values).fetchone()[0])

    def pragma(self, name: str) -> int:
        """A number that SQLite knows of the file."""
        with self.reading():
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
    def reading(self) -> Iterator[None]:
        """Raise StoreError for what SQLite says inside."""
        try:
            yield
        except sqlite3.Error as cause:
            self._raise_if_broken(cause)
            raise StoreError(f"the buffer cannot be read: {cause}", cause="the disk is failing") from cause

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Raise StoreWriteError for what SQLite says inside."""
        try:
            yield
        except sqlite3.Error as cause:
            self._raise_if_broken(cause)
            full = getattr(cause, "sqlite_errorcode", None) in _FULL
            raise (StoreFullError if full else StoreWriteError)(
                f"the buffer could not be written: {cause}",
                cause="the disk is full" if full else "the disk is failing",
                fix="df -h; dmesg | tail",
            ) from cause

    def check(self) -> None:
        """Raise DamagedStoreError (or SQLite's own error) when the file is broken, as far as a bounded look tells.

        What it does not reach shows itself when it is read.
        """
        if self.pragma("page_count") <= CHECKED_PAGES:
            self._check_structure("1")
            return
        for table in LITTLE_TABLES:
            self._check_structure(table)
        for lane in LANES:
            for end in ("oldest", "newest"):
                self.run(f"{end}_{lane.value}", {"rows": CHECKED_ROWS}).fetchall()

    def broken_structure(self) -> list[str]:
        """What SQLite finds broken when it looks at every page; empty when nothing is."""
        try:
            found = [row[0] for row in self._connection.execute("PRAGMA integrity_check(20)")]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    def _check_structure(self, what: str) -> None:
        found = self._connection.execute(f"PRAGMA quick_check({what})").fetchone()[0]
        if found != "ok":
            raise DamagedStoreError(found)

    def call_damaged(self, what: str) -> DamagedStoreError:
        """Have the next start put the file aside; the error to raise."""
        if self._suspect is not None:
            self._suspect.touch(mode=0o600)
        return DamagedStoreError(
            f"the buffer is damaged: {what}",
            cause="the disk is failing, or lost what it had confirmed",
            fix="start the agent again: it puts the file aside and saves what can be read of it",
        )

    def _raise_if_broken(self, cause: sqlite3.Error) -> None:
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
            raise self.call_damaged(str(cause)) from cause

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextmanager
def opened_whole(path: Path) -> Iterator[SqliteFile]:
    """Open or make the file for writing; it is closed again when what is done inside fails.

    DamagedStoreError when SQLite finds it broken in here, DiskRefusesError when the disk does not let it be used,
    StoreError when it is another user's.
    """
    try:
        path.touch(mode=0o600, exist_ok=True)
        # The store hands one call after the other to its own thread; `close` may come from another one.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except PermissionError as cause:
        raise StoreError(f"the buffer cannot be opened: {cause}", fix=f"ls -l {path}") from cause
    except (OSError, sqlite3.Error) as cause:
        raise DiskRefusesError(f"the buffer cannot be opened: {cause}", fix=f"ls -l {path}") from cause
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        yield SqliteFile(connection, suspect(path))
    except sqlite3.Error as cause:
        connection.close()
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise DamagedStoreError(str(cause)) from cause
        raise DiskRefusesError(
            f"the buffer cannot be opened: {cause}", cause="the disk is full or failing", fix=f"df -h {path.parent}"
        ) from cause
    except BaseException:
        connection.close()
        raise
    os.chmod(path, 0o600)


@contextmanager
def opened_for_reading(path: Path, *, alone: bool = False) -> Iterator[SqliteFile]:
    """The file beside a running agent, or `alone`; StoreError when it cannot be read."""
    # SQLite makes an index for a log that is not there, unless it is told that nobody writes: then nothing changes, and
    # a disk that cannot be written does not matter.
    unwritten = alone or os.statvfs(path.parent).f_flag & os.ST_RDONLY
    how = "mode=ro&immutable=1" if unwritten and not path.with_name(path.name + "-wal").exists() else "mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?{how}", uri=True, isolation_level=None)) as connection:
            yield SqliteFile(connection, None)
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
