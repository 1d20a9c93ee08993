"""Everything that a hub knows is destroyed, before it goes to its next patient or to the scrap heap. Keys go first.

A card keeps what was overwritten: what makes its rest worthless is that the keys are gone, of the buffer and of the
identity. Where the buffer's keys are sealed (`buffer.wrapping`), they were never readable from the card.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from bedside_agent.buffer.key_file import FILE as BUFFER_KEYS
from bedside_agent.buffer.lock import lock
from bedside_agent.errors import DiskRefusesError

KEY_NAMES = frozenset({BUFFER_KEYS, "key.pem", "bonds.json", "claim", "pairing"})


def wipe(state: Path, memory: Path, buffer: Path) -> int:
    """Destroy what is below `state` and `memory`; how many files there were.

    StoreBusyError while an agent has the buffer open, before anything is touched. OSError when a file cannot be
    destroyed: the keys are gone by then, or the first of them is named.
    """
    try:
        held = lock(buffer)
    except DiskRefusesError:
        held = None
    try:
        files = [one for folder in (state, memory) for one in _files(folder)]
        for path in sorted(files, key=lambda one: one.name not in KEY_NAMES):
            if path.name in KEY_NAMES and not path.is_symlink():
                _overwrite(path)
            path.unlink(missing_ok=True)
        for folder in (state, memory):
            for inside in list(folder.iterdir()) if folder.exists() else ():
                shutil.rmtree(inside) if inside.is_dir() and not inside.is_symlink() else inside.unlink()
        _sync(state)
        return len(files)
    finally:
        if held is not None:
            held.close()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or path.is_file():
            yield path


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(secrets.token_bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
