"""Which processes of ours an earlier life has left behind. Linux only: elsewhere nothing is found."""

import os
import signal
from pathlib import Path

PROC = Path("/proc")


def working_in(directory: Path) -> list[int]:
    """Ids of the processes whose working directory is `directory`, as PostgreSQL's all are."""
    if not PROC.is_dir():
        return []
    wanted = os.path.realpath(directory)
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "cwd") == wanted:
                found.append(int(entry.name))
        except OSError:
            # The process ended while we looked, or it is another user's: neither is ours to end.
            continue
    return found


def end_all_in(directory: Path) -> int:
    """Kill what still works in `directory`; how many there were."""
    pids = working_in(directory)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(pids)
