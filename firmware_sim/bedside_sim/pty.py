"""A serial line without wires: a pseudo-terminal behind a path that stays, so that a reader can open it again.

Like a real line it carries bytes only while somebody has it open; what is said to nobody is lost.
"""

import asyncio
import contextlib
import os
import select
import tty
from pathlib import Path

_FULL_WAIT_SECONDS = 0.01
_READ_BYTES = 4096
_FULL_WAITS = 100
"""A reader that takes nothing for a second has stopped; a device would not wait for it either."""


class SerialLine:
    """The device's end. `path` becomes a symbolic link to the terminal and is replaced if it is one already."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._device_end: int | None = None
        self.plug_in()

    def plug_in(self) -> None:
        """A new terminal behind the same path, as after unplugging and plugging in again."""
        self.unplug()
        device_end, reader_end = os.openpty()
        # Raw, and then closed: an open reader's end of our own would look like a reader.
        tty.setraw(reader_end)
        os.set_blocking(device_end, False)
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(reader_end))
        fresh.replace(self._path)
        os.close(reader_end)
        self._device_end = device_end

    def unplug(self) -> None:
        """Reader and path lose the line. No error if it is unplugged already."""
        if self._device_end is not None:
            os.close(self._device_end)
            self._device_end = None
            self._path.unlink(missing_ok=True)

    def is_open(self) -> bool:
        """Whether somebody has the line open at the moment."""
        if self._device_end is None:
            return False
        poll = select.poll()
        poll.register(self._device_end, select.POLLOUT)
        return not any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))

    def heard(self) -> bytes:
        """What was said to the device since the last look."""
        if self._device_end is None:
            return b""
        try:
            return os.read(self._device_end, _READ_BYTES)
        except OSError:
            # Nothing yet, or nobody has the line open any more.
            return b""

    async def write(self, data: bytes) -> bool:
        """Say `data`; False when nobody listens, or no more before it was all said."""
        for _ in range(_FULL_WAITS):
            if self._device_end is None or not self.is_open():
                return False
            written = 0
            with contextlib.suppress(BlockingIOError):
                written = os.write(self._device_end, data)
            data = data[written:]
            if not data:
                return True
            await asyncio.sleep(_FULL_WAIT_SECONDS)
        return False
