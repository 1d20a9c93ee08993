"""A look into a store from outside, beside a running agent or without one: counted, read, and checked to the last seal.

The file is read in short pieces: a reader that holds on to an old state would keep the agent from emptying its log.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bedside_agent.buffer import salvage
from bedside_agent.buffer.bundles import GAP, about, reach, unpack
from bedside_agent.buffer.contents import LANES, STORE_STEP
from bedside_agent.buffer.key_file import open_keyring
from bedside_agent.buffer.migrating import check_schema
from bedside_agent.buffer.ranges import Range, Ranges, count, normalise, subtract
from bedside_agent.buffer.records import Record, at_ms, record
from bedside_agent.buffer.sealing import Keyring, key_number
from bedside_agent.buffer.sqlite_file import SqliteFile, opened_for_reading
from bedside_agent.errors import StoreError
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import UpLane

PIECE_ROWS = 500

Progress = Callable[[int, int], None]
"""Told how many rows are done, and of how many."""


def check_readable(path: Path) -> None:
    """NewerStoreError when a newer agent has written the store; none is fine. Nothing is changed, no key is needed."""
    if path.exists():
        with opened_for_reading(path) as file:
            check_schema(file)


def _silent(done: int, of: int) -> None:
    return None


@dataclass(slots=True)
class LaneCounts:
    """`stored` items (gaps left out), `waiting` sequences that no receipt covers; times are UTC milliseconds."""

    stored: int = 0
    waiting: int = 0
    gaps: int = 0
    gap_items: int = 0
    damaged: int = 0
    bytes: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None


@dataclass(slots=True)
class Counts:
    """What a store holds; `rows_by_key` tells which key sealed how many rows."""

    lanes: dict[str, LaneCounts] = field(default_factory=dict)
    stores: int = 0
    file_bytes: int = 0
    newest_key: int = 0
    rows_by_key: dict[int, int] = field(default_factory=dict)
    damaged_files: list[str] = field(default_factory=list)
    is_suspect: bool = False


class View:
    """One store, open for reading. `is_broken`: `problems` found more than single rows damaged."""

    def __init__(self, path: Path, file: SqliteFile, keyring: Keyring) -> None:
        self.is_broken = False
        self._path = path
        self._file = file
        self._keyring = keyring
        with file.reading():
            self._stores = {int(number): str(store_id) for number, store_id, _ in file.run("stores").fetchall()}

    def counts(self, progress: Progress = _silent) -> Counts:
        """Count everything; every row is opened, its items are not."""
        found = Counts(
            stores=len(self._stores),
            file_bytes=sum(one.lstat().st_size for one in self._path.parent.glob(self._path.name + "*")),
            newest_key=max(self._keyring.keys),
            damaged_files=[one.name for one in salvage.waiting(self._path)],
            is_suspect=salvage.suspect(self._path).exists(),
        )
        keys: Counter[int] = Counter()
        for lane in LANES:
            found.lanes[lane.value] = self._count(lane, keys, progress)
        found.rows_by_key = dict(sorted(keys.items()))
        return found

    def newest(self, lane: UpLane, most: int) -> list[Record]:
        """The newest items of a lane, newest first, decoded."""
        with self._file.reading():
            rows = self._file.run(f"newest_{lane.value}", {"rows": most}).fetchall()
        found = [one for key, sealed in rows for one in reversed(self._records(lane, key, sealed, None))]
        return found[:most]

    def records(self, lane: UpLane, since_ms: int | None, progress: Progress = _silent) -> Iterator[Record]:
        """Every item of a lane that is not older, decoded, oldest first."""
        for key, sealed in self._walk(lane, progress):
            yield from self._records(lane, key, sealed, since_ms)

    def problems(self, progress: Progress = _silent) -> Iterator[str]:
        """What is damaged, a sentence each: every page's structure, every row's and named value's seal."""
        for found in self._file.broken_structure():
            self.is_broken = True
            yield f"the file's structure is broken: {found}"
        for lane in LANES:
            damaged: dict[tuple[int, str], list[Range]] = defaultdict(list)
            try:
                for key, sealed in self._walk(lane, progress):
                    number, seq = divmod(key, STORE_STEP)
                    try:
                        unpack(seq, self._keyring.unseal(sealed, about(lane, key)))
                    except MalformedError:
                        damaged[number, self._why(sealed)].append((seq, seq))
            except StoreError as error:
                self.is_broken = True
                yield f"some {lane.value} cannot be read: {error.what}"
            for (number, why), rows in damaged.items():
                named = ", ".join(
                    f"{first}" if first == last else f"{first} to {last}" for first, last in normalise(rows)
                )
                store_id = self._stores.get(number, str(number))
                yield f"rows of {lane.value} that begin at {named} of store {store_id[:8]} {why}"
        yield from self._value_problems()

    def _value_problems(self) -> Iterator[str]:
        try:
            with self._file.reading():
                values = self._file.run("all_state").fetchall()
        except StoreError as error:
            yield f"the named values cannot be read: {error.what}"
            return
        for name, sealed in values:
            try:
                self._keyring.unseal(sealed, name.encode())
            except MalformedError:
                yield f"the named value {name} {self._why(sealed)}"

    def _why(self, sealed: bytes) -> str:
        number = key_number(sealed)
        return "are damaged" if number in self._keyring.keys else f"were sealed by key {number}, which is not here"

    def _count(self, lane: UpLane, keys: Counter[int], progress: Progress) -> LaneCounts:
        found = LaneCounts()
        there: dict[int, list[Range]] = defaultdict(list)
        ends: list[tuple[int, bytes]] = []
        for key, sealed in self._walk(lane, progress):
            number, seq = divmod(key, STORE_STEP)
            found.bytes += len(sealed)
            keys[key_number(sealed)] += 1
            try:
                plain = self._keyring.unseal(sealed, about(lane, key))
                first, last = reach(seq, plain)
            except MalformedError:
                found.damaged += 1
                continue
            ends = [ends[0] if ends else (key, sealed), (key, sealed)]
            if there[number] and there[number][-1][1] + 1 == first:
                first = there[number].pop()[0]
            there[number].append((first, last))
            if plain[0] == GAP:
                found.gaps += 1
                found.gap_items += last - seq + 1
            else:
                found.stored += last - seq + 1
        found.waiting = sum(
            count(subtract(normalise(ranges), self._settled(number, lane))) for number, ranges in there.items()
        )
        times = [self._time(lane, *end) for end in ends]
        found.oldest_ms, found.newest_ms = (times[0], times[1]) if times else (None, None)
        return found

    def _time(self, lane: UpLane, key: int, sealed: bytes) -> int | None:
        return at_ms(unpack(key % STORE_STEP, self._keyring.unseal(sealed, about(lane, key))).items[0])

    def _settled(self, number: int, lane: UpLane) -> Ranges:
        with self._file.reading():
            return normalise(self._file.run("settled", {"store": number, "lane": lane.value}).fetchall())

    def _records(self, lane: UpLane, key: int, sealed: bytes, since_ms: int | None) -> list[Record]:
        number, seq = divmod(key, STORE_STEP)
        store_id = self._stores.get(number, "")
        try:
            items = unpack(seq, self._keyring.unseal(sealed, about(lane, key))).items
        except MalformedError:
            return [record(lane, store_id, None, seq)]
        return [record(lane, store_id, item) for item in items if since_ms is None or (at_ms(item) or 0) >= since_ms]

    def _walk(self, lane: UpLane, progress: Progress) -> Iterator[tuple[int, bytes]]:
        with self._file.reading():
            of = self._file.number(f"count_{lane.value}")
        done, at = 0, 0
        while True:
            with self._file.reading():
                rows = self._file.run(f"walk_{lane.value}", {"item": at, "rows": PIECE_ROWS}).fetchall()
            if not rows:
                return
            yield from rows
            at, done = rows[-1][0], done + len(rows)
            progress(done, of)


@contextmanager
def viewed(path: Path) -> Iterator[View]:
    """Open a store for reading; StoreError if there is none, or no key."""
    if not path.exists():
        raise StoreError("there is no buffer yet", cause="the agent never ran here", fix="bedside-agent run")
    keyring = open_keyring(path)
    with opened_for_reading(path) as file:
        yield View(path, file, keyring)


def peek(path: Path) -> Mapping[str, int]:
    """How many items a store holds, a lane each; StoreError as `viewed`."""
    with viewed(path) as view:
        return {name: lane.stored + lane.damaged for name, lane in view.counts().lanes.items()}
