"""One writer: a lock beside the store's file, gone when its holder dies."""

import fcntl
from pathlib import Path
from typing import IO

from bedside_agent.errors import StoreBusyError


def lock(path: Path) -> IO[bytes]:
    """Hold the store at `path` until the result is closed; StoreBusyError when another process holds it.

    Two writers would each think themselves the only one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = path.with_name(path.name + ".lock").open("wb")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        held.close()
        raise StoreBusyError(
            "the buffer is in use",
            cause="another bedside-agent runs on this state directory",
            fix="bedside-agent status",
        ) from cause
    return held
