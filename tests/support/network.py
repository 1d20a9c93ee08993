"""A TCP proxy that can cut, stall and restore what runs through it, and be as slow as a modem."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

PIECE_BYTES = 1400
"""As a packet carries: what is behind it waits for no more than this."""

MODEM_BYTES = 16 * 1024
"""What the kernel takes in for a slow link before it has sent it. It doubles this, and the reader holds as much again:
two seconds of 256 kbit/s, as in a modem."""


@dataclass(frozen=True, slots=True)
class Line:
    """How fast a link is, each way by itself; every piece takes a latency between the two."""

    bytes_per_second: int
    least_latency_seconds: float = 0.0
    most_latency_seconds: float = 0.0


MOBILE = Line(256_000 // 8, 0.050, 0.150)
"""256 kbit/s each way: what the hub must be useful on."""


class Bucket:
    """When each piece has left a line that carries so many bytes a second. Pure: the moment is passed in."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def leaves_at(self, size_bytes: int, line: Line, now: float) -> float:
        """The moment at which a piece that is there now has left."""
        self._free_at = max(self._free_at, now) + size_bytes / line.bytes_per_second
        return self._free_at


class Proxy:
    """Forwards `port` on loopback to `upstream_port`."""

    def __init__(self, upstream_port: int, line: Line | None) -> None:
        self.port = 0
        self.accepted = 0
        self.line = line
        """How slow it is now; None: as fast as it can. May be set at any time."""
        self.carried_bytes = 0
        """What came from the side that connects, and was passed on."""
        self._upstream_port = upstream_port
        self._flowing: set[asyncio.Event] = set()
        self._stalled = False
        self._refusing = False
        self._chance = random.Random(1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._buckets = {"up": Bucket(), "down": Bucket()}

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._refusing = True
        self.reset()

    def reset(self) -> None:
        """Reset every connection; new ones are welcome."""
        for writer in tuple(self._writers):
            _reset(writer)

    def stall(self) -> None:
        """Nothing moves any more, and nobody is told."""
        self._stalled = True
        self.swallow()

    def swallow(self) -> None:
        """Nothing moves any more on the connections that there are, and nobody is told; new ones are as ever."""
        for flowing in self._flowing:
            flowing.clear()

    def restore(self) -> None:
        """As if nothing had happened."""
        self._refusing = self._stalled = False
        for flowing in self._flowing:
            flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refusing:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port, limit=PIECE_BYTES)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(up_writer)
        flowing = asyncio.Event()
        self._flowing.add(flowing)
        if not self._stalled:
            flowing.set()
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, "up", flowing)),
            asyncio.create_task(self._pump(up_reader, writer, "down", flowing)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        self._flowing.discard(flowing)
        for end in (writer, up_writer):
            end.transport.abort()
            self._writers.discard(end)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str, flowing: asyncio.Event
    ) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(self._arrive(on_the_way, writer))
        loop = asyncio.get_running_loop()
        arrives_at = 0.0
        try:
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(PIECE_BYTES if self.line else 65536):
                    await flowing.wait()
                    line = self.line
                    if line is not None:
                        leaves_at = self._buckets[way].leaves_at(len(piece), line, loop.time())
                        await asyncio.sleep(leaves_at - loop.time())
                        latency = self._chance.uniform(line.least_latency_seconds, line.most_latency_seconds)
                        # Pieces of one connection do not overtake one another.
                        arrives_at = max(arrives_at, leaves_at + latency)
                    if way == "up":
                        self.carried_bytes += len(piece)
                    on_the_way.put_nowait((arrives_at, piece))
                    if line is None:
                        await on_the_way.join()
            await on_the_way.join()
        finally:
            arriving.cancel()
            await asyncio.gather(arriving, return_exceptions=True)

    async def _arrive(self, on_the_way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at, piece = await on_the_way.get()
            await asyncio.sleep(at - loop.time())
            with contextlib.suppress(ConnectionError):
                writer.write(piece)
                await writer.drain()
            on_the_way.task_done()


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.transport.is_closing():
        return
    # Without this the other end would see an orderly end of the stream.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxied(upstream_port: int, line: Line | None = None) -> AsyncIterator[Proxy]:
    """A proxy in front of a port on loopback."""
    proxy = Proxy(upstream_port, line)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    listening = socket.create_server(("127.0.0.1", 0))
    if line is not None:
        # What is not yet sent waits here, and in the sender's own buffer, as it does in front of a modem.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MODEM_BYTES)
    server = await asyncio.start_server(accept, sock=listening, limit=PIECE_BYTES)
    proxy.port = listening.getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.restore()
        proxy.reset()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()
