"""The store's tables as items: rows are sealed on their way in and opened on their way out."""

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bedside_agent.buffer.bundles import Bundle, about, pack_items, reach, unpack
from bedside_agent.buffer.contents import LANES, STORE_STEP, Item, Kept, Mark
from bedside_agent.buffer.ranges import Range, Ranges
from bedside_agent.buffer.sealing import Keyring
from bedside_agent.buffer.sqlite_file import SqliteFile
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import UpLane


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as found: `first` to `last` are its sequences; `bundle` is None when it cannot be read."""

    first: int
    last: int
    bundle: Bundle | None


class Tables:
    """Nothing here begins or ends a transaction."""

    def __init__(self, file: SqliteFile, keyring: Keyring) -> None:
        self._file = file
        self._keyring = keyring

    def kept(self) -> tuple[Kept, ...]:
        """Every lane of every store, oldest store first."""
        return tuple(
            [
                self._kept(number, store_id, lane, opened_hub_ms)
                for number, store_id, opened_hub_ms in self._file.run("stores").fetchall()
                for lane in LANES
            ]
        )

    def _kept(self, number: int, store_id: str, lane: UpLane, opened_hub_ms: int) -> Kept:
        bounds = {"first": number * STORE_STEP, "last": (number + 1) * STORE_STEP - 1}
        first = self._file.run(f"first_{lane.value}", bounds).fetchone()
        last = self._file.run(f"last_{lane.value}", bounds).fetchone()
        newest = open_row(self._keyring, lane, *last) if last else None
        key = {"store": number, "lane": lane.value}
        return Kept(
            number=number,
            store_id=store_id,
            lane=lane,
            opened_hub_ms=opened_hub_ms,
            first=first[0] % STORE_STEP if first else 1,
            last=newest.range[1] if newest else last[0] % STORE_STEP if last else 0,
            settled=tuple(self._file.run("settled", key)),
            marks=tuple([Mark(*row) for row in self._file.run("marks", key)]),
        )

    def stored(self, number: int, lane: UpLane, first: int, last: int) -> Generator[Stored, None, None]:
        """Rows that hold something between two sequences, rising. A damaged one reaches to the next, or to `last`."""
        base = number * STORE_STEP
        bounds = {"base": base, "first": base + first, "last": base + last}
        damaged: int | None = None
        with contextlib.closing(self._file.rows(f"fetch_{lane.value}", bounds)) as rows:
            for key, sealed in rows:
                if damaged is not None:
                    yield Stored(damaged, key - base - 1, None)
                bundle = open_row(self._keyring, lane, key, sealed)
                damaged = key - base if bundle is None else None
                if bundle is not None:
                    yield Stored(*bundle.range, bundle)
        if damaged is not None:
            yield Stored(damaged, max(damaged, last if last < STORE_STEP - 1 else damaged), None)

    def reaches(self, number: int, lane: UpLane, wanted: Range) -> Iterator[Range]:
        """The sequences of the rows that hold some of `wanted`; what cannot be read is left out."""
        base = number * STORE_STEP
        bounds = {"base": base, "first": base + wanted[0], "last": base + wanted[1]}
        for key, sealed in self._file.run(f"fetch_{lane.value}", bounds).fetchall():
            with contextlib.suppress(MalformedError):
                first, last = reach(key - base, self._keyring.unseal(sealed, about(lane, key)))
                if first <= wanted[1] and last >= wanted[0]:
                    yield first, last

    def add(self, number: int, store_id: str, lane: UpLane, items: Sequence[Item]) -> None:
        """Add items that were born in this store."""
        base = number * STORE_STEP
        rows = [
            (base + seq, self._keyring.seal(plain, about(lane, base + seq)))
            for seq, plain in pack_items(store_id, items)
        ]
        if rows:
            self._file.run_many(f"add_{lane.value}", rows)

    def delete(self, number: int, lane: UpLane, rows: Sequence[Range]) -> None:
        """Delete whole rows, named by their sequences."""
        self._file.run_many(f"delete_{lane.value}", [(number * STORE_STEP + first,) for first, _ in rows])

    def settle(self, number: int, lane: UpLane, ranges: Ranges) -> None:
        """Write down all that receipts cover of one lane."""
        key = {"store": number, "lane": lane.value}
        self._file.run("clear_settled", key)
        for first, last in ranges:
            self._file.run("add_settled", {**key, "first": first, "last": last})

    def state(self) -> Mapping[str, bytes]:
        """Every named value. One that cannot be read any more is left out: whoever put it does without."""
        found: dict[str, bytes] = {}
        for name, sealed in self._file.run("all_state").fetchall():
            with contextlib.suppress(MalformedError):
                found[name] = self._keyring.unseal(sealed, name.encode())
        return found

    def put_state(self, values: Mapping[str, bytes | None]) -> None:
        """Write named values; None removes one."""
        for name, value in values.items():
            if value is None:
                self._file.run("drop_state", {"name": name})
            else:
                self._file.run("put_state", {"name": name, "value": self._keyring.seal(value, name.encode())})


def open_row(keyring: Keyring, lane: UpLane, key: int, sealed: bytes) -> Bundle | None:
    """The row under that key; None when it cannot be read."""
    try:
        return unpack(key % STORE_STEP, keyring.unseal(sealed, about(lane, key)))
    except MalformedError:
        return None
