"""How a process tells whoever started it that it serves: the datagram protocol of systemd's sd_notify."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

NOTIFY_VARIABLE = "NOTIFY_SOCKET"
READY = b"READY=1"


def announce_ready() -> None:
    """Say once that the service answers. Without a listener (started by hand) this does nothing."""
    address = os.environ.get(NOTIFY_VARIABLE)
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.send(READY)


@asynccontextmanager
async def listen_for_ready() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The other end: an address to put into `NOTIFY_VARIABLE`, and the event that the process said it serves."""
    said = asyncio.Event()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            if READY in data.split(b"\n"):
                said.set()

    # Not below the state directory: the kernel takes no socket path that is longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bedside-", dir="/tmp") as folder:
        address = f"{folder}/ready"
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=address, family=socket.AF_UNIX)
        try:
            yield address, said
        finally:
            transport.close()
