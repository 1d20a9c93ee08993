"""A damaged store's file: put aside, and every row on an undamaged page of it read, some pages at a time.

Whoever reads raw pages meets old copies too: rows that were deleted since. They are sent again; the cloud knows them.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bedside_agent.buffer.bundles import about
from bedside_agent.buffer.contents import LANES, STORE_STEP
from bedside_agent.buffer.pages import FILE_MAGIC, RawPages
from bedside_agent.buffer.sealing import Keyring
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import UpLane

DAMAGED = ".damaged"
"""What the file is called until all of it is salvaged; then `SALVAGED`, of which only the newest is kept."""

SALVAGED = ".salvaged"

ADOPTED = "adopted"
"""What the folder of a store in memory is called, with a number, once the disk's own store takes over."""

SUSPECT = ".suspect"
"""Beside the store: SQLite met damage while the hub ran, in a page that the check at the start does not reach."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row that its key opens: a lane's, with its number and first sequence, or a named value."""

    lane: UpLane | None
    number: int
    seq: int
    plain: bytes
    name: str = ""


class Aside:
    """A damaged file, open for reading. Close it."""

    def __init__(self, path: Path, keyring: Keyring) -> None:
        self.path = path
        self._keyring = keyring
        self._pages = RawPages(path, _log_of(path))

    @property
    def count(self) -> int:
        """How many places there are to look at."""
        return self._pages.count

    @property
    def pages_read(self) -> int:
        """Pages that were read from the file so far."""
        return self._pages.pages_read

    def rows(self, first: int, last: int) -> Iterator[Found]:
        """Every row in these places that can be opened; nothing that is not exactly what was once written."""
        for cell in self._pages.cells(first, last):
            if isinstance(cell.key, str):
                found = _value(cell.key, cell.payload, self._keyring)
            else:
                found = _row(cell.key, cell.payload, self._keyring)
            if found is not None:
                yield found

    def named_values(self) -> Iterator[Found]:
        """Named values, newer copies first; few pages are read."""
        for cell in self._pages.named():
            found = _value(cell.key, cell.payload, self._keyring) if isinstance(cell.key, str) else None
            if found is not None:
                yield found

    def close(self) -> None:
        """Close the file."""
        self._pages.close()


def is_hopeless(path: Path) -> bool:
    """Whether SQLite must not even touch the file: it would throw away the log beside a file that it takes for new."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        head = file.read(len(FILE_MAGIC))
    if path.with_name(path.name + "-journal").exists():
        return False  # It was being made when the power was cut: SQLite takes back what it had begun.
    log = _log_of(path)
    return head != FILE_MAGIC and (bool(head) or (log.exists() and log.stat().st_size > 0))


def suspect(path: Path) -> Path:
    """The mark that SQLite met damage in the store while the hub ran."""
    return path.with_name(path.name + SUSPECT)


def put_aside(path: Path) -> None:
    """Move the store and its log out of the way, under a name that is free."""
    aside = _free_name(path)
    log = _log_of(path)
    if log.exists():
        # First: a log without its file is read for itself, a file without its log is the state before.
        log.replace(_log_of(aside))
    path.replace(aside)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    suspect(path).unlink(missing_ok=True)


def waiting(path: Path) -> list[Path]:
    """Damaged files (or logs of one) beside the store that are not wholly salvaged, the oldest damage first."""
    pattern = re.compile(re.escape(path.name + DAMAGED) + r"(?:\.(\d+))?")
    names = {one.name.removesuffix("-wal") for one in path.parent.glob(f"{path.name}{DAMAGED}*")}
    numbered = sorted((int(match[1] or 0), match[0]) for match in map(pattern.fullmatch, names) if match)
    return [path.with_name(name) for _, name in numbered]


def finish(path: Path, aside: Path) -> None:
    """All that could be saved from `aside` is in the store."""
    if aside.is_symlink():
        _drop_linked(aside)
        return
    kept = salvaged(path)
    for before, after in ((_log_of(aside), _log_of(kept)), (aside, kept)):
        if before.exists():
            before.replace(after)


def salvaged(path: Path) -> Path:
    """What is kept of the newest damaged file after its salvage, for whoever wants to know what happened."""
    return path.with_name(path.name + SALVAGED)


def drop_salvaged(path: Path) -> bool:
    """Give its room back to the disk; False when there is none."""
    kept = [one for one in (salvaged(path), _log_of(salvaged(path))) if one.exists()]
    for one in kept:
        one.unlink()
    return bool(kept)


def link(path: Path, source: Path) -> Path:
    """Have the file `source`, which stays where it is, salvaged into the store at `path`; the link's name."""
    aside = _free_name(path)
    # First the log, as in `put_aside`.
    _log_of(aside).symlink_to(_log_of(source))
    aside.symlink_to(source)
    return aside


def _drop_linked(aside: Path) -> None:
    """Forget a link, and what it led to if that was a store in memory: it is not needed, and memory is dear."""
    folder = aside.readlink().parent
    for linked in (_log_of(aside), aside):
        linked.unlink(missing_ok=True)
    if folder.name.startswith(ADOPTED):
        shutil.rmtree(folder, ignore_errors=True)


def identity(aside: Path) -> str:
    """What tells this file from every other one that was put aside or linked before it."""
    return str(aside.readlink()) if aside.is_symlink() else aside.name


def _free_name(path: Path) -> Path:
    taken = waiting(path)
    # Behind all others: the order of the names is that of their age.
    number = int(taken[-1].suffix.removeprefix(".")) + 1 if taken and taken[-1].suffix != DAMAGED else 1
    return path.with_name(f"{path.name}{DAMAGED}.{number}")


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _row(key: int, sealed: bytes, keyring: Keyring) -> Found | None:
    if not 0 < key < 2**62:
        return None
    for lane in LANES:
        try:
            # That it opens proves that it is whole: its items need not be looked at here.
            plain = keyring.unseal(sealed, about(lane, key))
        except MalformedError:
            continue
        return Found(lane, *divmod(key, STORE_STEP), plain)
    return None


def _value(name: str, sealed: bytes, keyring: Keyring) -> Found | None:
    try:
        return Found(None, 0, 0, keyring.unseal(sealed, name.encode()), name)
    except MalformedError:
        return None
