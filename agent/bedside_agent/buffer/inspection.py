"""A look into a store from outside, beside a running agent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bedside_agent.buffer.contents import LANES, STORE_STEP
from bedside_agent.buffer.sealing import Keyring, open_keyring
from bedside_agent.buffer.sqlite_file import SqliteFile, opened_for_reading
from bedside_agent.buffer.tables import Stored, open_row
from bedside_agent.errors import StoreError
from bedside_profiles.wire.topics import UpLane


@contextmanager
def reading(path: Path) -> Iterator[Mapping[UpLane, Iterator[Stored]]]:
    """Every row of a store, a lane each; StoreError if there is none or no key.

    A damaged row stands for its first sequence alone.
    """
    if not path.exists():
        raise StoreError("there is no buffer yet", cause="the agent never ran here", fix="bedside-agent run")
    keyring = open_keyring(path)
    with opened_for_reading(path) as file:
        yield {lane: _rows(file, keyring, lane) for lane in LANES}


def peek(path: Path) -> Mapping[str, int]:
    """How many items a store holds, a lane each; StoreError as `reading`."""
    with reading(path) as lanes:
        return {
            lane.value: sum(len(row.bundle.items) if row.bundle else 1 for row in rows) for lane, rows in lanes.items()
        }


def _rows(file: SqliteFile, keyring: Keyring, lane: UpLane) -> Iterator[Stored]:
    for key, sealed in file.rows(f"walk_{lane.value}", {"item": 0, "rows": -1}):
        bundle = open_row(keyring, lane, key, sealed)
        yield Stored(*bundle.range, bundle) if bundle else Stored(key % STORE_STEP, key % STORE_STEP, None)
