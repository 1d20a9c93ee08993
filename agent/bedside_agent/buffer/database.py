"""The open store as transactions: what is committed together, found, replaced and deleted. Everything here blocks."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from bedside_agent.buffer import retention, salvage
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import STORE_STEP, Damaged, Group, Item, Kept
from bedside_agent.buffer.key_file import open_keyring, seal_open_file
from bedside_agent.buffer.lock import lock
from bedside_agent.buffer.migrating import check_schema, migrate
from bedside_agent.buffer.ranges import Range, Ranges, intersect, normalise
from bedside_agent.buffer.rescue import FIRST_NUMBER, Rescue
from bedside_agent.buffer.reserve import LEAST_BYTES, Reserve, free_bytes
from bedside_agent.buffer.sealing import Keyring
from bedside_agent.buffer.sqlite_file import LOG_PAGES, SqliteFile, opened_for_reading, opened_whole
from bedside_agent.buffer.tables import Stored, Tables
from bedside_agent.errors import DamagedStoreError, DiskRefusesError, NewerStoreError, StoreError
from bedside_profiles.wire.topics import UpLane

ROW_BYTES = 64
"""A generous reading, sealed."""


class Database:
    """One open store. Opening it makes a new store row: sequences of this opening start at 1 under a new id."""

    def __init__(self, path: Path, store_id: str, *, most_bytes: int | None = None, newer: Path | None = None) -> None:
        """Raise StoreError: another agent has it, a newer one wrote it, or the file cannot be used.

        A damaged file is put aside and a new one made; `damage` then says what was wrong, and `rescue` brings in what
        can be saved. How long an opening takes does not depend on how much the store holds.

        `most_bytes` bounds the file where the disk's own end may not be reached. `newer` is one of the files to be
        rescued whose named values are newer than those of the store.
        """
        self._path = path
        self._most_bytes = most_bytes
        self._lock = lock(path)
        self.reserve = Reserve(path.with_name(path.name + ".reserve"))
        try:
            _leave_newer_alone(path)
            seal_open_file(path)
            keyring = open_keyring(path)
            if free_bytes(path.parent) < LEAST_BYTES:
                self.reserve.release()
            self.file, self.damage = _opened(path, keyring)
            self.rescue = Rescue(path, self.file, keyring)
            self.rescue.named_values(newer)
            self._tables = Tables(self.file, keyring)
            self._page_bytes = self.file.pragma("page_size")
            self.store_id = store_id
            with self.file.reading():
                self.hub_ms = self.file.number("hub_time")
            least = FIRST_NUMBER if self.rescue.is_needed else 1
            with self.file.transaction():
                self.file.run("add_store", {"store_id": store_id, "hub_ms": self.hub_ms, "least": least})
                self.store_number = self.file.number("store_number", {"store_id": store_id})
            self.reserve.refill()
        except OSError as cause:
            self._lock.close()
            if isinstance(cause, PermissionError):
                raise
            raise DiskRefusesError(f"the buffer's disk cannot be written: {cause.strerror}") from cause
        except BaseException:
            self._lock.close()
            raise

    def kept(self) -> tuple[Kept, ...]:
        """Every lane of every store, oldest store first."""
        with self.file.reading():
            return self._tables.kept()

    def state(self) -> Mapping[str, bytes]:
        """Every named value. One that cannot be read any more is left out: whoever put it does without."""
        with self.file.reading():
            return self._tables.state()

    def commit(self, group: Group) -> None:
        """Write all of the group or nothing; when this returns, it is on the disk. StoreWriteError otherwise."""
        with self.file.transaction():
            for lane, items in group.by_lane().items():
                self._tables.add(self.store_number, self.store_id, lane, items)
            self._tables.put_state(group.state)
            if group.forget_settled_at is not None:
                self.file.run("mark_all_settled", {"hub_ms": group.forget_settled_at})
                self.file.run("clear_all_settled")
            for (number, lane), ranges in group.settled.items():
                self._tables.settle(number, lane, ranges)
            for lane, mark in group.marks.items():
                self.file.run(
                    "add_mark",
                    {"store": self.store_number, "lane": lane.value, "seq": mark.last_seq, "hub_ms": mark.hub_ms},
                )

    def fetch(self, number: int, lane: UpLane, first: int, last: int, rows: int) -> tuple[Item | Damaged, ...]:
        """At most `rows` items of one lane between two sequences, rising; sequences without a row are left out.

        A gap may reach beyond the two sequences. StoreError when the file cannot be read.
        """
        found: list[Item | Damaged] = []
        with contextlib.closing(self._tables.stored(number, lane, first, last)) as stored:
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
        with contextlib.closing(self._tables.stored(number, lane, first, STORE_STEP - 1)) as stored:
            for row in stored:
                if row.first >= first:
                    found.append(row)
                if len(found) == rows:
                    break
        return tuple(found)

    def settle(self, number: int, lane: UpLane, settled: Ranges) -> None:
        """Write down all that receipts cover of one lane. StoreWriteError as `commit`."""
        with self.file.transaction():
            self._tables.settle(number, lane, settled)

    def delete(self, number: int, lane: UpLane, part: Range, whole: Ranges) -> Ranges:
        """Delete, in one transaction, the rows that begin in `part` and lie inside `whole`; their sequences."""
        with contextlib.closing(self._tables.stored(number, lane, *part)) as stored:
            inside = [(row.first, row.last) for row in stored if row.first >= part[0]]
        gone = [one for one in inside if intersect((one,), whole) == (one,)]
        with self.file.transaction():
            self._tables.delete(number, lane, gone)
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
        with self.file.transaction():
            self._tables.delete(number, lane, [(row.first, row.last) for row in old])
            self._tables.add(number, store_id, lane, new)
            self._tables.put_state(state)

    def forget_marks(self, number: int, lane: UpLane, below_seq: int) -> None:
        """Delete the marks that no decision needs any more."""
        with self.file.transaction():
            self.file.run("clear_marks", {"store": number, "lane": lane.value, "seq": below_seq})

    def forget_store(self, number: int) -> None:
        """Delete what is known of a store that holds nothing any more."""
        with self.file.transaction():
            self.file.run("clear_store_settled", {"store": number})
            self.file.run("clear_store_marks", {"store": number})
            self.file.run("drop_store", {"store": number})

    def spare_bytes(self) -> int:
        """What can still be written before the disk is full, the reserve not counted: it may be below nothing.

        Pages that are free in the file count; what log and file will yet take for what is already committed does not.
        """
        log = self._path.with_name(self._path.name + "-wal")
        log_bytes, file_bytes = (log.stat().st_size if log.exists() else 0), self._path.stat().st_size
        log_growth = max(0, LOG_PAGES * self._page_bytes - log_bytes)
        file_growth = max(0, self.file.pragma("page_count") * self._page_bytes - file_bytes)
        room = free_bytes(self._path.parent)
        if self._most_bytes is not None:
            room = min(room, self._most_bytes - log_bytes - file_bytes)
        return room + self.free_in_file() - log_growth - file_growth

    def tidy(self) -> None:
        """Empty the log into the file and give its room back to the disk. StoreWriteError as `commit`."""
        with self.file.writing():
            self.file.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_roomy(self, rows: int) -> bool:
        """Whether the file itself has room for `rows` more: then nothing need go, whoever else fills the disk.

        An eighth of the file is room, so that a small store is not emptied for another program's sake.
        """
        eighth = self.file.pragma("page_count") * self._page_bytes // 8
        return self.free_in_file() >= max(min(retention.ENOUGH_BYTES, eighth), 2 * ROW_BYTES * rows)

    def drop_salvaged(self) -> bool:
        """Give up the copy of a damaged file from which everything was saved; False when there is none."""
        return salvage.drop_salvaged(self._path)

    def free_in_file(self) -> int:
        """Bytes of the file that hold nothing any more: rows go there before the file grows."""
        return self.file.pragma("freelist_count") * self._page_bytes

    def close(self) -> None:
        """Close the file; it can be opened again at once."""
        if free_bytes(self._path.parent) < LEAST_BYTES:
            self.reserve.release()
        self.rescue.close()
        self.file.close()
        self.reserve.refill()
        self._lock.close()


def _leave_newer_alone(path: Path) -> None:
    """NewerStoreError when a newer agent wrote the file, before anything is changed, made or put aside.

    An opening for writing would put the log into the file when it closes.
    """
    if not path.exists() or path.stat().st_size == 0 or salvage.is_hopeless(path):
        return
    try:
        with opened_for_reading(path, alone=True) as file:
            check_schema(file)
    except NewerStoreError:
        raise
    except StoreError:
        return  # It is damaged, or the disk fails: the opening that follows finds out which.


def _opened(path: Path, keyring: Keyring) -> tuple[SqliteFile, str | None]:
    """The file in today's schema; when it is damaged, a new one in its place, and what was wrong."""
    try:
        if salvage.suspect(path).exists():
            raise DamagedStoreError("a page could not be read while the hub ran")
        if salvage.is_hopeless(path):
            raise DamagedStoreError("the file's header is destroyed")
        return _connected(path, keyring), None
    except DamagedStoreError as error:
        salvage.put_aside(path)
        return _connected(path, keyring), error.what


def _connected(path: Path, keyring: Keyring) -> SqliteFile:
    with opened_whole(path) as file:
        migrate(file, keyring)
        file.check()
    return file
