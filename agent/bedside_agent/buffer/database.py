"""The store's file: the only importer of sqlite3. Everything here blocks and runs on one thread at a time.

WAL with `synchronous=FULL`: when `commit` returns, the disk has said that it holds the rows.
"""

import contextlib
import fcntl
import itertools
import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bedside_agent.buffer import retention, salvage
from bedside_agent.buffer.bundles import GAP, Bundle, Item, about, pack_items, span, store_of, unpack
from bedside_agent.buffer.contents import LANES, STORE_STEP, Damaged, Group, Kept, Mark
from bedside_agent.buffer.legacy import convert
from bedside_agent.buffer.queries import migrations, queries
from bedside_agent.buffer.ranges import Range, Ranges, intersect, normalise
from bedside_agent.buffer.reserve import LEAST_BYTES, Reserve, free_bytes
from bedside_agent.buffer.salvage import Salvage
from bedside_agent.buffer.sealing import Keyring, open_keyring
from bedside_agent.errors import (
    DamagedStoreError,
    NewerStoreError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreWriteError,
)
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import UpLane

APPLICATION_ID = 0x42454453
PAGE_BYTES = 2048
"""A commit writes at least a page and the log's frame around it: smaller ones halve what wears the card. Older stores
keep the 4096 that they were made with."""

LOG_PAGES = 800
"""The log is put into the file after so many pages: 1.6 MB, less than the reserve on a full disk."""

ROW_BYTES = 64
"""A generous reading, sealed."""

CONVERTED_ROWS = 5_000
SEALED_SCHEMA = 2
SALVAGED_ROWS = 2_000
CHECK_SECONDS = 4.0
"""A start waits no longer for the check of a large file; what it did not reach shows itself when it is read."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""ERROR too: a schema whose tables are not there."""

_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as found: `first` to `last` are its sequences; `bundle` is None when it cannot be read."""

    first: int
    last: int
    bundle: Bundle | None


class Database:
    """One open store. Opening it makes a new store row: sequences of this opening start at 1 under a new id."""

    def __init__(self, path: Path, store_id: str) -> None:
        """Raise StoreError: another agent has it, a newer one wrote it, or the file cannot be used."""
        self._path = path
        self._lock = _lock(path)
        self.reserve = Reserve(path.with_name(path.name + ".reserve"))
        try:
            self._keyring = open_keyring(path)
            if free_bytes(path.parent) < LEAST_BYTES:
                self.reserve.release()
            self.salvage: Salvage | None = None
            try:
                if salvage.is_hopeless(path):
                    raise DamagedStoreError("the file's header is destroyed")
                self._connection = _connect(path, self._keyring)
            except DamagedStoreError as error:
                self.salvage = Salvage(error.what)
                salvage.put_aside(path)
                self._connection = _connect(path, self._keyring)
            self._page_bytes = self._pragma("page_size")
            self._salvage_all()
            self.store_id = store_id
            self.hub_ms: int = self._one("hub_time")
            with self._transaction():
                added = self._run("add_store", {"store_id": store_id, "hub_ms": self.hub_ms})
            if added.lastrowid is None:
                raise StoreError("the buffer gave the new store no number")
            self.store_number = added.lastrowid
            self.reserve.refill()
        except BaseException:
            self._lock.close()
            raise

    def kept(self) -> tuple[Kept, ...]:
        """Every lane of every store, oldest store first."""
        found = []
        for number, store_id, opened_hub_ms in self._run("stores").fetchall():
            for lane in LANES:
                bounds = {"first": number * STORE_STEP, "last": (number + 1) * STORE_STEP - 1}
                first = self._run(f"first_{lane.value}", bounds).fetchone()
                last = self._run(f"last_{lane.value}", bounds).fetchone()
                newest = self._open(lane, *last) if last else None
                key = {"store": number, "lane": lane.value}
                found.append(
                    Kept(
                        number=number,
                        store_id=store_id,
                        lane=lane,
                        opened_hub_ms=opened_hub_ms,
                        first=first[0] % STORE_STEP if first else 1,
                        last=newest.range[1] if newest else last[0] % STORE_STEP if last else 0,
                        settled=tuple(self._run("settled", key)),
                        marks=tuple(Mark(*row) for row in self._run("marks", key)),
                    )
                )
        return tuple(found)

    def state(self) -> Mapping[str, bytes]:
        """Every named value. One that cannot be read any more is left out: whoever put it does without."""
        found: dict[str, bytes] = {}
        for name, sealed in self._run("all_state").fetchall():
            with contextlib.suppress(MalformedError):
                found[name] = self._keyring.unseal(sealed, name.encode())
        return found

    def commit(self, group: Group) -> None:
        """Write all of the group or nothing; when this returns, it is on the disk. StoreWriteError otherwise."""
        rows: dict[UpLane, Sequence[Item]] = {
            UpLane.READINGS: group.readings,
            UpLane.ALARMS: group.alarms,
            UpLane.EVENTS: group.events,
        }
        with self._transaction():
            for lane, items in rows.items():
                self._add(self.store_number, self.store_id, lane, items)
            self._put_state(group.state)
            if group.forget_settled:
                self._run("clear_all_settled")
            for (number, lane), ranges in group.settled.items():
                key = {"store": number, "lane": lane.value}
                self._run("clear_settled", key)
                for first, last in ranges:
                    self._run("add_settled", {**key, "first": first, "last": last})
            for lane, mark in group.marks.items():
                self._run(
                    "add_mark",
                    {"store": self.store_number, "lane": lane.value, "seq": mark.last_seq, "hub_ms": mark.hub_ms},
                )

    def fetch(self, number: int, lane: UpLane, first: int, last: int, rows: int) -> tuple[Item | Damaged, ...]:
        """At most `rows` items of one lane between two sequences, rising; sequences without a row are left out.

        A gap may reach beyond the two sequences. StoreError when the file cannot be read.
        """
        found: list[Item | Damaged] = []
        with contextlib.closing(self._stored(number, lane, first, last)) as stored:
            for row in stored:
                if row.bundle is None:
                    found += [Damaged(seq) for seq in range(max(first, row.first), min(last, row.last) + 1)]
                else:
                    found += [item for item in row.bundle.items if span(item)[0] <= last and span(item)[1] >= first]
                if len(found) >= rows:
                    break
        return tuple(found[:rows])

    def stretch(self, number: int, lane: UpLane, first: int, rows: int) -> tuple[Stored, ...]:
        """At most `rows` whole rows of one lane, the first of which begins at `first` or later."""
        found: list[Stored] = []
        with contextlib.closing(self._stored(number, lane, first, STORE_STEP - 1)) as stored:
            for row in stored:
                if row.first >= first:
                    found.append(row)
                if len(found) == rows:
                    break
        return tuple(found)

    def delete(self, number: int, lane: UpLane, part: Range, whole: Ranges) -> Ranges:
        """Delete, in one transaction, the rows that begin in `part` and lie inside `whole`; their sequences."""
        with contextlib.closing(self._stored(number, lane, *part)) as stored:
            inside = [(row.first, row.last) for row in stored if row.first >= part[0]]
        gone = [one for one in inside if intersect((one,), whole) == (one,)]
        with self._transaction():
            self._delete(number, lane, gone)
        return normalise(gone)

    def replace(
        self,
        number: int,
        store_id: str,
        lane: UpLane,
        old: Sequence[Stored],
        new: Sequence[Item],
        state: Mapping[str, bytes],
    ) -> None:
        """Put the items `new` in the place of the rows `old`, and the named values, in one transaction."""
        with self._transaction():
            self._delete(number, lane, [(row.first, row.last) for row in old])
            self._add(number, store_id, lane, new)
            self._put_state(state)

    def forget_marks(self, number: int, lane: UpLane, below_seq: int) -> None:
        """Delete the marks that no decision needs any more."""
        with self._transaction():
            self._run("clear_marks", {"store": number, "lane": lane.value, "seq": below_seq})

    def forget_store(self, number: int) -> None:
        """Delete what is known of a store that holds nothing any more."""
        with self._transaction():
            self._run("clear_store_settled", {"store": number})
            self._run("clear_store_marks", {"store": number})
            self._run("drop_store", {"store": number})

    def spare_bytes(self) -> int:
        """What can still be written before the disk is full, the reserve not counted: it may be below nothing.

        Pages that are free in the file count; what log and file will yet take for what is already committed does not.
        """
        log = self._path.with_name(self._path.name + "-wal")
        log_growth = max(0, LOG_PAGES * self._page_bytes - (log.stat().st_size if log.exists() else 0))
        file_growth = max(0, self._pragma("page_count") * self._page_bytes - self._path.stat().st_size)
        return free_bytes(self._path.parent) + self.free_in_file() - log_growth - file_growth

    def tidy(self) -> None:
        """Empty the log into the file and give its room back to the disk. StoreWriteError as `commit`."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as cause:
            raise _write_error(cause) from cause

    def is_roomy(self, rows: int) -> bool:
        """Whether the file itself has room for `rows` more: then nothing need go, whoever else fills the disk.

        An eighth of the file is room, so that a small store is not emptied for another program's sake.
        """
        eighth = self._pragma("page_count") * self._page_bytes // 8
        return self.free_in_file() >= max(min(retention.ENOUGH_BYTES, eighth), 2 * ROW_BYTES * rows)

    def free_in_file(self) -> int:
        """Bytes of the file that hold nothing any more: rows go there before the file grows."""
        return self._pragma("freelist_count") * self._page_bytes

    def close(self) -> None:
        """Close the file; it can be opened again at once."""
        if free_bytes(self._path.parent) < LEAST_BYTES:
            self.reserve.release()
        self._connection.close()
        self.reserve.refill()
        self._lock.close()

    def _salvage_all(self) -> None:
        """Bring in what can be saved from files that were put aside, now or when an earlier start was cut short."""
        for aside in salvage.waiting(self._path):
            report = self.salvage = self.salvage or Salvage("an earlier start was cut short")
            found = salvage.rows(aside, self._keyring)
            thinned = False
            try:
                while part := list(itertools.islice(found, SALVAGED_ROWS)):
                    with self._transaction():
                        report.rows += sum(self._take_in(row) for row in part)
                    thinned = thinned or any(row.lane and row.plain[0] == GAP for row in part)
                if thinned:
                    self._drop_overlapping()
            except StoreFullError:
                # The rest stays in the file that was put aside, and the next start goes on.
                return
            salvage.finish(self._path, aside)
            report.finished = True

    def _take_in(self, row: salvage.Found) -> int:
        if row.lane is None:
            value = self._keyring.seal(row.plain, row.name.encode())
            return self._run("salvage_state", {"name": row.name, "value": value}).rowcount
        store = {"store_id": store_of(row.plain)}
        self._run("salvage_store", store)
        key = int(self._run("store_number", store).fetchone()[0]) * STORE_STEP + row.seq
        sealed = self._keyring.seal(row.plain, about(row.lane, key))
        return self._run(f"salvage_{row.lane.value}", {"item": key, "payload": sealed}).rowcount

    def _drop_overlapping(self) -> None:
        """Of a thinned stretch both the old rows and the new may have been found: a sequence stands once."""
        for number, _, _ in self._run("stores").fetchall():
            for lane in LANES:
                end, twice = 0, list[Range]()
                for row in self._stored(number, lane, 1, STORE_STEP - 1):
                    if row.last <= end:
                        twice.append((row.first, row.last))
                    end = max(end, row.last)
                with self._transaction():
                    self._delete(number, lane, twice)

    def _stored(self, number: int, lane: UpLane, first: int, last: int) -> Generator[Stored, None, None]:
        """Rows that hold something between two sequences, rising. A damaged one reaches to the next, or to `last`."""
        base = number * STORE_STEP
        bounds = {"base": base, "first": base + first, "last": base + last}
        damaged: int | None = None
        cursor = self._connection.cursor()
        try:
            for key, sealed in cursor.execute(queries()[f"fetch_{lane.value}"], bounds):
                if damaged is not None:
                    yield Stored(damaged, key - base - 1, None)
                bundle = self._open(lane, key, sealed)
                damaged = key - base if bundle is None else None
                if bundle is not None:
                    yield Stored(*bundle.range, bundle)
            if damaged is not None:
                yield Stored(damaged, max(damaged, last if last < STORE_STEP - 1 else damaged), None)
        except sqlite3.Error as cause:
            raise StoreError(f"the buffer cannot be read: {cause}", cause="the disk is failing") from cause
        finally:
            cursor.close()

    def _open(self, lane: UpLane, key: int, sealed: bytes) -> Bundle | None:
        return _open(self._keyring, lane, key, sealed)

    def _add(self, number: int, store_id: str, lane: UpLane, items: Sequence[Item]) -> None:
        base = number * STORE_STEP
        rows = [
            (base + seq, self._keyring.seal(plain, about(lane, base + seq)))
            for seq, plain in pack_items(store_id, items)
        ]
        if rows:
            self._connection.executemany(queries()[f"add_{lane.value}"], rows)

    def _delete(self, number: int, lane: UpLane, rows: Sequence[Range]) -> None:
        keys = [(number * STORE_STEP + first,) for first, _ in rows]
        self._connection.executemany(queries()[f"delete_{lane.value}"], keys)

    def _put_state(self, values: Mapping[str, bytes | None]) -> None:
        for name, value in values.items():
            if value is None:
                self._run("drop_state", {"name": name})
            else:
                self._run("put_state", {"name": name, "value": self._keyring.seal(value, name.encode())})

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as cause:
            raise _write_error(cause) from cause

    def _run(self, name: str, values: Mapping[str, object] = {}) -> sqlite3.Cursor:
        return self._connection.execute(queries()[name], values)

    def _one(self, name: str) -> int:
        return int(self._run(name).fetchone()[0])

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def reading(path: Path) -> Iterator[Mapping[UpLane, Iterator[Stored]]]:
    """Every row of a store, a lane each, read beside a running agent; StoreError if there is none or no key.

    A damaged row stands for its first sequence alone.
    """
    if not path.exists():
        raise StoreError("there is no buffer yet", cause="the agent never ran here", fix="bedside-agent run")
    keyring = open_keyring(path)

    def rows(connection: sqlite3.Connection, lane: UpLane) -> Iterator[Stored]:
        for key, sealed in connection.execute(queries()[f"walk_{lane.value}"], {"item": 0, "rows": -1}):
            bundle = _open(keyring, lane, key, sealed)
            yield Stored(*bundle.range, bundle) if bundle else Stored(key % STORE_STEP, key % STORE_STEP, None)

    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
            yield {lane: rows(connection, lane) for lane in LANES}
    except sqlite3.Error as cause:
        raise StoreError(f"the buffer cannot be read: {cause}", cause="the file is damaged or not a buffer") from cause


def peek(path: Path) -> Mapping[str, int]:
    """How many items a store holds, a lane each; StoreError as `reading`."""
    with reading(path) as lanes:
        return {
            lane.value: sum(len(row.bundle.items) if row.bundle else 1 for row in rows) for lane, rows in lanes.items()
        }


def _open(keyring: Keyring, lane: UpLane, key: int, sealed: bytes) -> Bundle | None:
    try:
        return unpack(key % STORE_STEP, keyring.unseal(sealed, about(lane, key)))
    except MalformedError:
        return None


def _write_error(cause: sqlite3.Error) -> StoreWriteError:
    full = getattr(cause, "sqlite_errorcode", None) in _FULL
    return (StoreFullError if full else StoreWriteError)(
        f"the buffer could not be written: {cause}",
        cause="the disk is full" if full else "the disk is failing",
        fix="df -h; dmesg | tail",
    )


def _lock(path: Path) -> IO[bytes]:
    """Two writers would each think themselves the only one: a lock beside the file, gone when its holder dies."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        lock.close()
        raise StoreBusyError(
            "the buffer is in use",
            cause="another bedside-agent runs on this state directory",
            fix="bedside-agent status",
        ) from cause
    return lock


def _connect(path: Path, keyring: Keyring) -> sqlite3.Connection:
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
        _migrate(connection, keyring)
        _check(connection)
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
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Raise DamagedStoreError when the file's structure is broken, as far as `CHECK_SECONDS` allow a look."""
    until = time.monotonic() + CHECK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return
    finally:
        connection.set_progress_handler(None, 0)
    if found != "ok":
        raise DamagedStoreError(found)


def _migrate(connection: sqlite3.Connection, keyring: Keyring) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    known = migrations()[-1][0]
    if found > known:
        raise NewerStoreError(found, known)
    for number, script in migrations():
        if number <= found:
            continue
        sealing = number == SEALED_SCHEMA and found > 0
        if sealing:
            # Else what was written in the clear would stay readable in pages that hold nothing any more.
            connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN EXCLUSIVE")
        try:
            if sealing:
                _seal_all(connection, keyring)
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        if sealing:
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _seal_all(connection: sqlite3.Connection, keyring: Keyring) -> None:
    """Write every row of schema 1 anew, inside the migration's transaction."""
    names = dict(connection.execute("SELECT number, name FROM names"))
    stores = dict(connection.execute("SELECT number, store_id FROM stores"))
    for lane in LANES:
        for number in stores:
            at, end = number * STORE_STEP - 1, (number + 1) * STORE_STEP
            while True:
                part = connection.execute(
                    queries()[f"walk_{lane.value}"], {"item": at, "rows": CONVERTED_ROWS}
                ).fetchall()
                part = [row for row in part if row[0] < end]
                if not part:
                    break
                connection.executemany(queries()[f"delete_{lane.value}"], [(key,) for key, _ in part])
                rows = [
                    (key, keyring.seal(plain, about(lane, key))) for key, plain in convert(lane, part, stores, names)
                ]
                connection.executemany(queries()[f"add_{lane.value}"], rows)
                at = part[-1][0]
    for name, value in connection.execute(queries()["all_state"]).fetchall():
        connection.execute(queries()["put_state"], {"name": name, "value": keyring.seal(value, name.encode())})
