"""A terminal behind HID reports: what a meter says on it comes as reports, one a read, as a hidraw node gives them."""

import asyncio
import contextlib
import os
import socket
import tty

from bedside_agent.serial.hid_reports import REPORT_BYTES, content_of, reports_of
from bedside_agent.serial.hidraw_port import HidrawPort


class BridgedPort(HidrawPort):
    """A `HidrawPort` whose node is one end of a socket that keeps the bounds of messages; the other is the terminal."""

    def __init__(self, path: str) -> None:
        self._terminal = -1
        self._far: socket.socket | None = None
        super().__init__(path, self._bridge)

    def _bridge(self, path: str) -> int:
        self._terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._terminal)
        near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        self._far.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._terminal, self._from_meter)
        loop.add_reader(self._far, self._to_meter)
        return near.detach()

    def _from_meter(self) -> None:
        assert self._far is not None
        try:
            said = os.read(self._terminal, 4096)
        except OSError:
            said = b""
        if not said:
            self._end()
            return
        for report in reports_of(said):
            self._far.send(report)

    def _to_meter(self) -> None:
        assert self._far is not None
        written = self._far.recv(REPORT_BYTES + 2)
        if not written:
            self._end()
            return
        assert len(written) == REPORT_BYTES + 1
        assert written[0] == 0, "the number of a report that has none"
        with contextlib.suppress(OSError):
            os.write(self._terminal, content_of(written[1:]))

    def _end(self) -> None:
        """Unplugged, at either end."""
        if self._terminal < 0 or self._far is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._terminal)
        loop.remove_reader(self._far)
        os.close(self._terminal)
        self._far.close()
        self._terminal = -1

    async def close(self) -> None:
        await super().close()
        self._end()
