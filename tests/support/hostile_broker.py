"""A broker that keeps no promise: MQTT 3.1.1 over mutual TLS, with every way in which its word is worth nothing.

A fault, and no neighbour: what a hub can rely on is tried against Mosquitto and NATS.
"""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path

from tests.support.certificates import Authority

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14
CONNACK, SUBACK, PINGRESP = b"\x20\x02\x00\x00", 0x90, b"\xd0\x00"


class Manner(Enum):
    """What it does with what it is sent. It never forwards anything."""

    FORGETS = auto()
    """Acknowledges everything at once."""

    ACKNOWLEDGES_TWICE = auto()
    """And messages that nobody sent."""

    ACKNOWLEDGES_BEFORE = auto()
    """Every number that a client can use, before anything was sent; nothing after it."""

    ACKNOWLEDGES_AND_RESETS = auto()
    """And breaks the connection at every fourth."""

    ACKNOWLEDGES_AND_BABBLES = auto()
    """And then sends what is not MQTT."""

    IS_SILENT = auto()
    """Lets the hub in and never says a word again."""


class HostileBroker:
    """Listens on `port` of loopback. `published` counts what hubs sent it."""

    def __init__(self, manner: Manner) -> None:
        self.published = 0
        self.connections = 0
        self._manner = manner
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes."""
        self._writers.add(writer)
        try:
            while True:
                self._answer(*await _packet(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    def die(self) -> None:
        """Break every connection."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == CONNECT:
            self.connections += 1
            writer.write(CONNACK)
        elif kind == SUBSCRIBE:
            topics = _topics(body[2:])
            writer.write(bytes([SUBACK, 2 + topics]) + body[:2] + b"\x01" * topics)
            if self._manner is Manner.ACKNOWLEDGES_BEFORE:
                writer.write(b"".join(_acknowledged(number) for number in range(1, 65536)))
        elif kind == PINGREQ and self._manner is not Manner.IS_SILENT:
            writer.write(PINGRESP)
        elif kind == PUBLISH:
            self.published += 1
            (topic_bytes,) = struct.unpack_from(">H", body)
            (number,) = struct.unpack_from(">H", body, 2 + topic_bytes)
            self._acknowledge(number, writer)

    def _acknowledge(self, number: int, writer: asyncio.StreamWriter) -> None:
        if self._manner in (Manner.IS_SILENT, Manner.ACKNOWLEDGES_BEFORE):
            return
        writer.write(_acknowledged(number))
        if self._manner is Manner.ACKNOWLEDGES_TWICE:
            writer.write(_acknowledged(number) + _acknowledged(number + 7) + _acknowledged(65535 - number))
        elif self._manner is Manner.ACKNOWLEDGES_AND_BABBLES and self.published % 4 == 0:
            writer.write(b"\xf0\xff\xff\xff\xff\xff" + bytes(range(256)))
        elif self._manner is Manner.ACKNOWLEDGES_AND_RESETS and self.published % 4 == 0:
            # What was written before it still goes out.
            writer.close()


def _acknowledged(number: int) -> bytes:
    return struct.pack(">BBH", PUBACK << 4, 2, number % 65536)


def _topics(filters: bytes) -> int:
    count, at = 0, 0
    while at < len(filters):
        (length,) = struct.unpack_from(">H", filters, at)
        at += 2 + length + 1
        count += 1
    return count


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Kind and body of the next control packet (MQTT 3.1.1, section 2.2)."""
    (first,) = await reader.readexactly(1)
    length = shift = 0
    while True:
        (digit,) = await reader.readexactly(1)
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first >> 4, await reader.readexactly(length)


@asynccontextmanager
async def hostile_broker(
    directory: Path, authority: Authority, manner: Manner, port: int
) -> AsyncIterator[HostileBroker]:
    """One that listens on `port` until it dies with all its connections."""
    authority.write(directory, authority.leaf("broker"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(directory / "chain.pem", directory / "key.pem")
    tls.load_verify_locations(directory / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    broker = HostileBroker(manner)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", port, ssl=tls)
    try:
        yield broker
    finally:
        server.close()
        broker.die()
        await server.wait_closed()
