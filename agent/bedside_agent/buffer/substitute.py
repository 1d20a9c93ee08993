"""A store in memory in the place of one whose disk cannot be written when the agent starts. Blocks.

A card that turned read-only, or that fails at the first write, must not leave a patient without a monitor. What the
disk still holds is read and salvaged into the store in memory as if the file were damaged: the plan and the alarms'
memory at once, what was never sent little by little. When the disk can be written again, its own store takes over and
brings in what memory held, which outlives the agent and not a loss of power.
"""

import hashlib
import logging
import os
import secrets
import shutil
from pathlib import Path

from bedside_agent.buffer import salvage
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.key_file import FILE as KEY_FILE
from bedside_agent.errors import DiskRefusesError, StoreWriteError

MOST_BYTES = 48 * 2**20
"""Of memory: a day of four devices that speak every second. More would crowd the agent out of a small computer."""

MEMORY = Path("/run/bedside")
MEMORY_VARIABLE = "BEDSIDE_AGENT_MEMORY"
CURRENT = "current"
NEWER = "newer"
"""Mark beside a store that was adopted: its named values are not yet in the disk's own."""

log = logging.getLogger(__name__)


def memory_for(state: Path) -> Path:
    """Where a hub with that state directory keeps what its disk does not take: a folder of its own, in memory."""
    base = Path(os.environ.get(MEMORY_VARIABLE, MEMORY))
    return base / hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]


def buffer_in_use(path: Path, memory: Path) -> Path:
    """The store of an agent whose own would be at `path`: the one in memory where there is one."""
    substitute = _substitute_for(path, memory)
    return substitute if substitute.exists() else path


def opened(path: Path, store_id: str, memory: Path | None) -> tuple[Database, str | None]:
    """The store at `path`; or one below `memory`, and why. StoreError as `Database`."""
    newer = None if memory is None else _adopted(path, memory)
    try:
        database = Database(path, store_id, newer=newer)
    except (DiskRefusesError, StoreWriteError) as error:
        if memory is None:
            raise
        log.error("buffer.in_memory", extra={"reason": error.what})
        try:
            return Database(_substitute(path, memory), store_id, most_bytes=MOST_BYTES), error.what
        except OSError as cause:
            raise error from cause
    if newer is not None:
        _mark(newer.readlink().parent).unlink(missing_ok=True)
    return database, None


def _substitute(path: Path, memory: Path) -> Path:
    """The store in memory; a new one has links to all that is to be salvaged into it."""
    substitute = _substitute_for(path, memory)
    if not substitute.exists():
        shutil.rmtree(substitute.parent, ignore_errors=True)
        substitute.parent.mkdir(mode=0o700, parents=True)
        key = path.with_name(KEY_FILE)
        if key.exists():
            substitute.with_name(KEY_FILE).symlink_to(key)
        # In the order of their age: of named values the newest count.
        newer, older = _newer(path), salvage.waiting(path)
        for source in (*(one for one in older if one not in newer), path, *newer):
            salvage.link(substitute, source)
    return substitute


def _adopted(path: Path, memory: Path) -> Path | None:
    """Have what memory holds salvaged into the store at `path`; its name there if its named values are still to come.

    Where the disk refuses that, memory keeps what it holds.
    """
    current = _substitute_for(path, memory).parent
    try:
        if (current / path.name).exists():
            # A name that no adopted store ever had: how far its salvage is, is written down under it.
            folder = memory / f"{salvage.ADOPTED}.{secrets.token_hex(8)}"
            # First the link: where it cannot be made, nothing has changed.
            salvage.link(path, folder / path.name)
            _mark(current).touch(mode=0o600)
            current.rename(folder)
    except OSError as error:
        log.warning("buffer.memory_not_adopted", extra={"reason": str(error)})
        return None
    newer = _newer(path)
    return newer[-1] if newer else None


def _newer(path: Path) -> list[Path]:
    """Links to adopted stores whose named values are not yet in the store at `path`."""
    return [one for one in salvage.waiting(path) if one.is_symlink() and _mark(one.readlink().parent).exists()]


def _substitute_for(path: Path, memory: Path) -> Path:
    return memory / CURRENT / path.name


def _mark(folder: Path) -> Path:
    return folder / NEWER
