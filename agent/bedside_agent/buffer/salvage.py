"""A damaged store: put aside, and every row on an undamaged page of it brought into the new one.

Whoever reads raw pages meets old copies too: rows that were deleted since. They are sent again; the cloud knows them.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bedside_agent.buffer.bundles import about
from bedside_agent.buffer.contents import LANES, STORE_STEP
from bedside_agent.buffer.pages import FILE_MAGIC, cells
from bedside_agent.buffer.sealing import Keyring
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import UpLane

DAMAGED = ".damaged"
"""What the file is called until all of it is salvaged; then `SALVAGED`, of which only the newest is kept."""

SALVAGED = ".salvaged"


@dataclass(slots=True)
class Salvage:
    """What was found damaged and what was saved from it."""

    reason: str
    rows: int = 0
    finished: bool = False


def is_hopeless(path: Path) -> bool:
    """Whether SQLite must not even touch the file: it would throw away the log beside a file that it takes for new."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        head = file.read(len(FILE_MAGIC))
    if path.with_name(path.name + "-journal").exists():
        return False  # It was being made when the power was cut: SQLite takes back what it had begun.
    log = path.with_name(path.name + "-wal")
    return head != FILE_MAGIC and (bool(head) or (log.exists() and log.stat().st_size > 0))


def put_aside(path: Path) -> None:
    """Move the store and its log out of the way, under a name that is free."""
    aside = path.with_name(path.name + DAMAGED)
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}{DAMAGED}.{number}")
    log = path.with_name(path.name + "-wal")
    if log.exists():
        # First: a log without its file is nothing, a file without its log is the state before.
        log.replace(aside.with_name(aside.name + "-wal"))
    path.replace(aside)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def waiting(path: Path) -> list[Path]:
    """Damaged files beside the store that are not wholly salvaged."""
    found = path.parent.glob(f"{path.name}{DAMAGED}*")
    return sorted(one for one in found if not one.name.endswith("-wal"))


def finish(path: Path, aside: Path) -> None:
    """All that could be saved from `aside` is in the store."""
    kept = path.with_name(path.name + SALVAGED)
    log = aside.with_name(aside.name + "-wal")
    if log.exists():
        log.replace(kept.with_name(kept.name + "-wal"))
    aside.replace(kept)


@dataclass(frozen=True, slots=True)
class Found:
    """A row that its key opens: a lane's, with its first sequence, or a named value."""

    lane: UpLane | None
    seq: int
    plain: bytes
    name: str = ""


def rows(aside: Path, keyring: Keyring) -> Iterator[Found]:
    """Every row of a damaged store that can be opened; nothing that is not exactly what was once written."""
    log = aside.with_name(aside.name + "-wal")
    with aside.open("rb") as file:
        try:
            content: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            content = b""  # An empty file cannot be mapped.
        for cell in cells(content, log.read_bytes() if log.exists() else b""):
            found = _value(cell.key, cell.payload, keyring) if isinstance(cell.key, str) else None
            if isinstance(cell.key, int):
                found = _row(cell.key, cell.payload, keyring)
            if found is not None:
                yield found


def _row(key: int, sealed: bytes, keyring: Keyring) -> Found | None:
    if not 0 < key < 2**62:
        return None
    for lane in LANES:
        try:
            # That it opens proves that it is whole: its items need not be looked at here.
            plain = keyring.unseal(sealed, about(lane, key))
            return Found(lane, key % STORE_STEP, plain)
        except MalformedError:
            continue
    return None


def _value(name: str, sealed: bytes, keyring: Keyring) -> Found | None:
    try:
        return Found(None, 0, keyring.unseal(sealed, name.encode()), name)
    except MalformedError:
        return None
