"""The store's file: the only importer of sqlite3. Everything here blocks and runs on one thread at a time.

WAL with `synchronous=FULL`: when `commit` returns, the disk has said that it holds the rows.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bedside_agent.buffer.queries import migrations, queries
from bedside_agent.buffer.ranges import Ranges
from bedside_agent.buffer.rows import pack_reading, pack_row, unpack_reading, unpack_row
from bedside_agent.errors import NewerStoreError, StoreBusyError, StoreError, StoreWriteError
from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.topics import UpLane

LANES = (UpLane.ALARMS, UpLane.READINGS, UpLane.EVENTS)
"""The lanes that the store keeps, in the order in which they are sent."""

STORE_STEP = 2**40
"""Sequences a store can have: an item's key is its store's number times this, plus its sequence."""

APPLICATION_ID = 0x42454453
PAGE_BYTES = 4096

Item = Reading | Alarm | Event


@dataclass(frozen=True, slots=True)
class Damaged:
    """A row whose bytes cannot be read any more: all that is left of it is its sequence."""

    seq: int


@dataclass(frozen=True, slots=True)
class Mark:
    """When the hub had run for `hub_ms`, `last_seq` was the newest item."""

    last_seq: int
    hub_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """One lane of one store as found at opening; `first` is above `last` when it holds nothing."""

    number: int
    store_id: str
    lane: UpLane
    opened_hub_ms: int
    first: int
    last: int
    settled: Ranges
    marks: tuple[Mark, ...]


@dataclass(slots=True)
class Group:
    """What one transaction writes. Readings, alarms and events carry their sequences; a state of None is removed."""

    readings: list[Reading] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    state: dict[str, bytes | None] = field(default_factory=dict)
    settled: dict[tuple[int, UpLane], Ranges] = field(default_factory=dict)
    marks: dict[UpLane, Mark] = field(default_factory=dict)
    forget_settled: bool = False

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.readings
            or self.alarms
            or self.events
            or self.state
            or self.settled
            or self.marks
            or self.forget_settled
        )


class Database:
    """One open store. Opening it makes a new store row: sequences of this opening start at 1 under a new id."""

    def __init__(self, path: Path, store_id: str) -> None:
        """Raise StoreError: another agent has it, a newer one wrote it, or the file cannot be used."""
        self._lock = _lock(path)
        try:
            self._connection = _connect(path)
            self.hub_ms: int = self._one("hub_time")
            with self._transaction():
                added = self._run("add_store", {"store_id": store_id, "hub_ms": self.hub_ms})
            if added.lastrowid is None:
                raise StoreError("the buffer gave the new store no number")
            self.store_number = added.lastrowid
            self._names = {name: number for number, name in self._run("names")}
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
                key = {"store": number, "lane": lane.value}
                found.append(
                    Kept(
                        number=number,
                        store_id=store_id,
                        lane=lane,
                        opened_hub_ms=opened_hub_ms,
                        first=first[0] % STORE_STEP if first else 1,
                        last=last[0] % STORE_STEP if last else 0,
                        settled=tuple(self._run("settled", key)),
                        marks=tuple(Mark(*row) for row in self._run("marks", key)),
                    )
                )
        return tuple(found)

    def state(self) -> Mapping[str, bytes]:
        """Every named value."""
        return dict(self._run("all_state").fetchall())

    def commit(self, group: Group) -> None:
        """Write all of the group or nothing; when this returns, it is on the disk. StoreWriteError otherwise."""
        new_names: dict[str, int] = {}
        base = self.store_number * STORE_STEP

        def number_of(name: str) -> int:
            number = self._names.get(name) or new_names.get(name)
            if number is None:
                number = self._run("add_name", {"name": name}).lastrowid
                assert number is not None  # noqa: S101 - an INSERT of one row has a rowid
                new_names[name] = number
            return number

        with self._transaction():
            self._many("add_readings", [(base + row.seq, pack_reading(row, number_of)) for row in group.readings])
            self._many("add_alarms", [(base + row.seq, pack_row(row)) for row in group.alarms])
            self._many("add_events", [(base + row.seq, pack_row(row)) for row in group.events])
            for name, value in group.state.items():
                if value is None:
                    self._run("drop_state", {"name": name})
                else:
                    self._run("put_state", {"name": name, "value": value})
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
        self._names.update(new_names)

    def fetch(self, number: int, lane: UpLane, first: int, last: int, rows: int) -> tuple[Item | Damaged, ...]:
        """At most `rows` items of one lane between two sequences, rising; sequences without a row are left out.

        StoreError when the file cannot be read.
        """
        base = number * STORE_STEP
        found: list[Item | Damaged] = []
        names = {interned: name for name, interned in self._names.items()}
        bounds = {"first": base + first, "last": base + last, "rows": rows}
        try:
            stored = self._run(f"fetch_{lane.value}", bounds).fetchall()
        except sqlite3.Error as cause:
            raise StoreError(f"the buffer cannot be read: {cause}", cause="the disk is failing") from cause
        for key, payload in stored:
            seq = key - base
            try:
                if lane is UpLane.READINGS:
                    found.append(unpack_reading(seq, payload, names))
                elif lane is UpLane.ALARMS:
                    found.append(unpack_row(Alarm, seq, payload))
                else:
                    found.append(unpack_row(Event, seq, payload))
            except MalformedError:
                found.append(Damaged(seq))
        return tuple(found)

    def delete(self, number: int, lane: UpLane, first: int, last: int) -> None:
        """Delete the items between two sequences, in one transaction."""
        base = number * STORE_STEP
        with self._transaction():
            self._run(f"delete_{lane.value}", {"first": base + first, "last": base + last})

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

    def close(self) -> None:
        """Close the file; it can be opened again at once."""
        self._connection.close()
        self._lock.close()

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
            raise StoreWriteError(
                f"the buffer could not be written: {cause}",
                cause="the disk is full or failing",
                fix="df -h; dmesg | tail",
            ) from cause

    def _run(self, name: str, values: Mapping[str, object] = {}) -> sqlite3.Cursor:
        return self._connection.execute(queries()[name], values)

    def _many(self, name: str, rows: Sequence[tuple[int, bytes]]) -> None:
        if rows:
            self._connection.executemany(queries()[name], rows)

    def _one(self, name: str) -> int:
        return int(self._run(name).fetchone()[0])


def peek(path: Path) -> Mapping[str, int]:
    """How many items a store holds, a lane each, read beside a running agent; StoreError if there is none."""
    if not path.exists():
        raise StoreError("there is no buffer yet", cause="the agent never ran here", fix="bedside-agent run")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        try:
            counts = {}
            for lane in LANES:
                table = lane.value
                counts[table] = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
            return counts
        finally:
            connection.close()
    except sqlite3.Error as cause:
        raise StoreError(f"the buffer cannot be read: {cause}", cause="the file is damaged or not a buffer") from cause


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


def _connect(path: Path) -> sqlite3.Connection:
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
        _migrate(connection)
    except sqlite3.Error as cause:
        connection.close()
        raise StoreError(
            f"the buffer cannot be opened: {cause}",
            cause="the file is damaged or not a buffer",
            fix=f"mv {path} {path}.damaged (keep it: readings may be saved from it)",
        ) from cause
    except BaseException:
        connection.close()
        raise
    os.chmod(path, 0o600)
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    known = migrations()[-1][0]
    if found > known:
        raise NewerStoreError(found, known)
    for number, script in migrations():
        if number > found:
            # executescript is one call to the disk: a power cut in between leaves the version before.
            connection.executescript(
                f"BEGIN EXCLUSIVE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
                f"PRAGMA user_version = {number};\nCOMMIT;"
            )
