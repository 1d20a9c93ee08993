"""A meter that is a USB HID device, through the kernel's hidraw node; the event loop watches its file descriptor."""

import asyncio
import contextlib
import os
from collections.abc import Callable

from bedside_agent.serial.hid_reports import REPORT_BYTES, HidReportError, content_of, reports_of
from bedside_agent.serial.port import PortError

UNNUMBERED = b"\0"
"""Goes before each report that is written: the meter does not number its reports (Documentation/hid/hidraw)."""


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class HidrawPort:
    """See `port.Port`. Opens in the constructor, within a running event loop, or raises `PortError`."""

    def __init__(self, path: str, open_node: Callable[[str], int] = _open) -> None:
        self._path = path
        self._readable = asyncio.Event()
        try:
            self._descriptor = open_node(path)
        except OSError as error:
            raise PortError(path, f"does not open: {error}") from error
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._readable.set)

    async def read(self) -> bytes:
        """See `port.Port`. A report that is none of the meter's ends the line: another device stands there."""
        while True:
            await self._readable.wait()
            try:
                report = os.read(self._descriptor, REPORT_BYTES)
            except BlockingIOError:
                self._readable.clear()
                continue
            except OSError as error:
                raise PortError(self._path, f"broke while reading: {error}") from error
            if not report:
                raise PortError(self._path, "broke while reading: its other end is gone")
            try:
                content = content_of(report)
            except HidReportError as error:
                raise PortError(self._path, f"is no Contour meter: {error}") from error
            if content:
                return content

    async def write(self, data: bytes) -> None:
        """See `port.Port`."""
        for report in reports_of(data):
            try:
                await asyncio.to_thread(os.write, self._descriptor, UNNUMBERED + report)
            except OSError as error:
                raise PortError(self._path, f"broke while writing: {error}") from error

    async def close(self) -> None:
        """See `port.Port`."""
        self._loop.remove_reader(self._descriptor)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
