"""A serial line through pyserial, without a thread: the event loop watches its file descriptor."""

import asyncio
import contextlib

import serial

from bedside_agent.serial.port import PortError
from bedside_profiles.profile import LineSettings

READ_BYTES = 4096


class TtyPort:
    """See `port.Port`. Opens in the constructor, within a running event loop, or raises `PortError`."""

    def __init__(self, path: str, settings: LineSettings) -> None:
        self._path = path
        self._readable = asyncio.Event()
        try:
            self._line = serial.Serial(
                path,
                baudrate=settings.baud,
                bytesize=settings.data_bits,
                parity=settings.parity,
                stopbits=settings.stop_bits,
                timeout=0,
                write_timeout=5,
                exclusive=True,
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortError(path, f"does not open: {error}") from error
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._line.fileno()
        self._loop.add_reader(self._descriptor, self._readable.set)

    async def read(self) -> bytes:
        """See `port.Port`."""
        while True:
            await self._readable.wait()
            self._readable.clear()
            try:
                data = bytes(self._line.read(READ_BYTES))
            except (serial.SerialException, OSError) as error:
                raise PortError(self._path, f"broke while reading: {error}") from error
            if data:
                return data

    async def write(self, data: bytes) -> None:
        """See `port.Port`."""
        try:
            await asyncio.to_thread(self._line.write, data)
        except (serial.SerialException, OSError) as error:
            raise PortError(self._path, f"broke while writing: {error}") from error

    async def close(self) -> None:
        """See `port.Port`."""
        self._loop.remove_reader(self._descriptor)
        # The descriptor of an unplugged adapter reports its loss once more when it is closed.
        with contextlib.suppress(serial.SerialException, OSError):
            self._line.close()
