"""One connection to the broker: the only importer of the MQTT client. MQTT 3.1.1, mutual TLS, clean session.

Chosen: aiomqtt on paho-mqtt. It acknowledges what comes down before it was acted upon, so nothing that comes down may
depend on that: plans and commands are sent again until they were answered, receipts at every status.
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from bedside_agent.errors import AgentError
from bedside_agent.uplink.route import Route

CONNECT_SECONDS = 10.0
"""How long each may take: a TCP connection to any of the broker's addresses, and its word that the hub may come in."""

HANDSHAKE_SECONDS = 5.0
"""How long TLS may take."""

PUBLISH_SECONDS = 30.0
"""How long an acknowledgement may take before the connection counts as gone. What is on the link at once is paced to
less than a second of it."""

URGENT_SECONDS = 10.0
"""The same for an alarm: a link that swallows it is given up and made anew, and the alarm goes first."""

SILENT_MS = 20_000
"""How long the kernel waits for a word of the other side before a connection with unsent bytes is an error."""

MOST_UNACKNOWLEDGED = 1000
"""The client would else hold an alarm back behind 20 messages that are on their way."""

GOODBYE_SECONDS = 2.0
"""A broker that does not answer a disconnect must not hold up the next connection."""

KEEPALIVE_SECONDS = 20
"""The broker sends the last will after one and a half of it: a dead hub is known in half a minute."""

REFUSED_SUBSCRIPTION = 0x80

# No waiting for a fuller packet: an alarm is small, and would wait for the answer to what went before it.
_SOCKET_OPTIONS: tuple[tuple[int, int, int], ...] = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
if hasattr(socket, "TCP_USER_TIMEOUT"):
    _SOCKET_OPTIONS += ((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MS),)

T = TypeVar("T")

log = logging.getLogger("bedside_agent.mqtt")
log.setLevel(logging.WARNING)


class ConnectionFailedError(AgentError):
    """No connection, or no longer one. `refused` is True when the broker answered and said no."""

    def __init__(self, what: str, *, refused: bool = False) -> None:
        super().__init__(what)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Message:
    """A topic and its body; QoS is always 1, nothing is ever retained."""

    topic: str
    body: bytes


class Connection:
    """An open connection. Errors are ConnectionFailedError; after one, the connection is of no more use."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def publish(self, message: Message, *, urgent: bool = False) -> None:
        """Return when the broker has acknowledged. That is no proof of storage."""
        seconds = URGENT_SECONDS if urgent else PUBLISH_SECONDS
        try:
            await _heeding_cancellation(self._client.publish(message.topic, message.body, qos=1, timeout=seconds))
        except aiomqtt.MqttError as cause:
            raise ConnectionFailedError(_reason(cause)) from cause

    async def messages(self) -> AsyncIterator[Message]:
        """What comes down, until the connection ends with an error."""
        try:
            async for message in self._client.messages:
                payload = message.payload
                yield Message(str(message.topic), payload if isinstance(payload, bytes) else b"")
        except aiomqtt.MqttError as cause:
            raise ConnectionFailedError(_reason(cause)) from cause


@asynccontextmanager
async def connected(
    route: Route, tls: ssl.SSLContext | None, client_id: str, *, will: Message | None, subscribe: Sequence[str]
) -> AsyncIterator[Connection]:
    """Connect, subscribe, and disconnect at the end without a last will; ConnectionFailedError if it cannot be."""
    opened = await _opened(route)
    client = aiomqtt.Client(
        route.host,
        route.port,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=True,
        keepalive=KEEPALIVE_SECONDS,
        timeout=CONNECT_SECONDS,
        will=None if will is None else aiomqtt.Will(will.topic, will.body, qos=1, retain=False),
        tls_context=tls,
        max_queued_incoming_messages=1024,
        max_inflight_messages=MOST_UNACKNOWLEDGED,
        socket_options=_SOCKET_OPTIONS,
        logger=log,
    )
    client.pending_calls_threshold = 1000
    _connect_patiently(client)
    _hand_over(opened, client)
    try:
        await _heeding_cancellation(client.__aenter__())
    except aiomqtt.MqttError as cause:
        raise ConnectionFailedError(_reason(cause), refused=isinstance(cause, MqttConnectError)) from cause
    try:
        if subscribe:
            await _subscribe(client, subscribe)
        yield Connection(client)
    finally:
        client.timeout = GOODBYE_SECONDS
        # An end that the broker does not answer is an end all the same.
        with contextlib.suppress(aiomqtt.MqttError):
            await _heeding_cancellation(client.__aexit__(None, None, None))


class PatientLoop:
    """The event loop, as the MQTT client sees it, which connects in another thread.

    What the client wants to have done on the loop meanwhile is done once it has connected: a loop that reads the first
    bytes while that thread still writes uses one TLS object twice at once. Connections were seen to hang for their
    whole limit, once in some eighty times on a busy machine; that this was why is read from the code, not recorded.

    The client registers a socket a moment after it was asked to: one that a lost connection has closed by then would
    be an error in the log, and no more than that.

    Were the client to change the names used in `_connect_patiently`, both would be back; `test_connection.py` says so.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] | None = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: Any) -> None:
        """As the loop's own, or after `release`."""
        with self._lock:
            if self._held is not None:
                self._held.append((callback, arguments))
                return
        self._loop.call_soon_threadsafe(callback, *arguments)

    def release(self) -> None:
        """The client has connected, or has not: do what was asked for, in its order."""
        with self._lock:
            held, self._held = self._held or [], None
        for callback, arguments in held:
            self._loop.call_soon_threadsafe(callback, *arguments)

    def add_reader(self, descriptor: int, callback: Callable[..., object]) -> None:
        """As the loop's own, for a socket that is still open."""
        with contextlib.suppress(OSError, ValueError):
            self._loop.add_reader(descriptor, callback)

    def add_writer(self, descriptor: int, callback: Callable[..., object]) -> None:
        """As the loop's own, for a socket that is still open."""
        with contextlib.suppress(OSError, ValueError):
            self._loop.add_writer(descriptor, callback)


def _connect_patiently(client: aiomqtt.Client) -> None:
    """Have the client use a `PatientLoop`."""
    loop, connect = PatientLoop(client._loop), client._client_connect
    client._loop = cast("asyncio.AbstractEventLoop", loop)

    def connect_and_release() -> None:
        try:
            connect()
        finally:
            loop.release()

    client._client_connect = connect_and_release  # type: ignore[method-assign]


async def _opened(route: Route) -> socket.socket:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await route.open()
    except OSError as cause:
        raise ConnectionFailedError(f"{route.host} cannot be reached: {_in_words(cause)}") from cause


def _in_words(error: OSError) -> str:
    # A resolver's numbers are its own, below zero, and it brings its words.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error) or "none of its addresses answers"


def _hand_over(opened: socket.socket, client: aiomqtt.Client) -> None:
    """Have the client go on with this TCP connection.

    Neither library has a public way to do so. Were the name below to change, the client would connect as it does by
    itself, to one address after the other, and `test_route.py` would say so.
    """
    opened.settimeout(HANDSHAKE_SECONDS)
    client._client._create_socket_connection = lambda: opened  # type: ignore[method-assign]


async def _subscribe(client: aiomqtt.Client, topics: Sequence[str]) -> None:
    try:
        answers = await _heeding_cancellation(client.subscribe([(topic, 1) for topic in topics]))
    except aiomqtt.MqttError as cause:
        raise ConnectionFailedError(_reason(cause)) from cause
    codes = [answer if isinstance(answer, int) else answer.value for answer in answers]
    if any(code >= REFUSED_SUBSCRIPTION for code in codes):
        raise ConnectionFailedError("the broker refused a subscription", refused=True)


async def _heeding_cancellation(call: Awaitable[T]) -> T:
    """Await the client's call, and be cancelled if that was asked for meanwhile.

    Python 3.11's `wait_for`, which the client uses throughout, forgets a cancellation that arrives together with its
    result: an agent that is told to stop in that moment would run on.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    result = await call
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return result


def _reason(error: BaseException) -> str:
    if str(error) == "Operation timed out":
        return "the broker did not answer in time; a broker that refuses the hub's certificate looks the same"
    cause = f" ({error.__cause__})" if error.__cause__ else ""
    return f"{error}{cause}"
