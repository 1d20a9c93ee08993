"""One writer: a lock beside the store's file, gone when its holder dies."""

import fcntl
from pathlib import Path
from typing import IO

from bedside_agent.errors import DiskRefusesError, StoreBusyError


def lock(path: Path) -> IO[bytes]:
    """Hold the store at `path` until the result is closed; StoreBusyError when another process holds it.

    Two writers would each think themselves the only one. DiskRefusesError when nobody can hold it: the disk is not to
    be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = path.with_name(path.name + ".lock")
    try:
        held = place.open("wb")
    except PermissionError:
        raise
    except OSError as cause:
        if place.exists():
            # Who opened it before the disk turned read-only has it still.
            with place.open("rb") as present:
                _hold(present)
        raise DiskRefusesError(f"the buffer's disk cannot be written: {cause.strerror}") from cause
    try:
        _hold(held)
    except StoreBusyError:
        held.close()
        raise
    return held


def _hold(held: IO[bytes]) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        raise StoreBusyError(
            "the buffer is in use",
            cause="another bedside-agent runs on this state directory",
            fix="bedside-agent status",
        ) from cause
