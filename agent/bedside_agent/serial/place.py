"""Where a serial device is plugged in, if it is: asked again and again, so that a replug is seen without being told."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plugged:
    """It is there. `node` tells this terminal from the one that was behind the same path before."""

    path: str
    node: tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Absent:
    """It is not there, or nobody can say which one it is (`ambiguous`): a person must say more then."""

    where: str
    reason: str
    ambiguous: bool = False


Place = Callable[[], Plugged | Absent]
"""Must not block: it looks at directories that the kernel keeps in memory."""


def at_path(path: str) -> Place:
    """The device behind a path; one of /dev/serial/by-id or by-path leads to it wherever it is plugged in."""

    def look() -> Plugged | Absent:
        try:
            return plugged(Path(path))
        except OSError:
            return Absent(path, f"{path} is not there: nothing is plugged in")

    return look


def plugged(path: Path) -> Plugged:
    """What stands behind the path now. Raises OSError when nothing does."""
    there = path.stat()
    return Plugged(str(path), (os.path.realpath(path), there.st_rdev, there.st_ino, there.st_ctime_ns))
