"""Room that is set aside on the disk, so that an alarm always fits: a file that is given up when there is no other."""

import errno
import logging
import os
from pathlib import Path

RESERVE_BYTES = 2 * 2**20
"""More than the log may grow to: with it, a full disk still takes an alarm and the deletions that make room."""

LEAST_BYTES = 128 * 2**10
"""Less is not worth a file: opening the store or an alarm takes a few pages and the log's index."""

MARGIN_BYTES = 256 * 2**10
"""Left on the disk beside the reserve: the log must be able to grow, or no room could ever be made."""

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """The file at `path`. What is left of the room after an alarm is set aside again at once."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self._path = path
        self._size = size

    @property
    def held_bytes(self) -> int:
        """How much is set aside now."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def release(self) -> bool:
        """Give the room up; False when there was none, or the disk lets go of nothing."""
        held = self.held_bytes > 0
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            self._say_failing(error)
            return False
        return held

    def refill(self) -> None:
        """Set aside as much of the wanted room as there is: none on a disk that fails. The store's commits say so."""
        held = self.held_bytes
        size = min(self._size, held + free_bytes(self._path.parent) - MARGIN_BYTES)
        if size > held and size >= LEAST_BYTES:
            try:
                self._allocate(size)
            except OSError as error:
                self._say_failing(error)

    def _say_failing(self, error: OSError) -> None:
        log.debug("buffer.reserve_not_kept", extra={"reason": str(error)})

    def _allocate(self, size: int) -> None:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        before = os.fstat(handle).st_size
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            # Another program was quicker.
            os.ftruncate(handle, before)
        finally:
            os.close(handle)


def free_bytes(directory: Path) -> int:
    """What the file system of the directory still gives to us."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
