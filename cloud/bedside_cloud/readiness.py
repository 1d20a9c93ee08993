"""How a process tells whoever started it that it serves: the datagram protocol of systemd's sd_notify."""

import os
import socket

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
