"""The hub's link to the cloud: connect, say who is here, send and receive, and begin again after every loss."""

import asyncio
import contextlib
import logging
import random
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from bedside_agent.clock import Clock
from bedside_agent.errors import IdentityError
from bedside_agent.uplink.backoff import STEADY_SECONDS, Backoff
from bedside_agent.uplink.connection import Connection, ConnectionFailedError, Message, connected
from bedside_agent.uplink.inbox import Handlers, Inbox
from bedside_agent.uplink.route import Route
from bedside_agent.uplink.sender import Sender
from bedside_profiles.wire.command import Reply
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, topic

log = logging.getLogger(__name__)

FAREWELL_SECONDS = 2.0
"""How long a stopping hub tries to say that it goes; the last will says it otherwise."""

MakeStatus = Callable[[HubState, str], Status]
"""The hub's status in that state, for the session of that id."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The way to the broker. `tls` is made anew for each connection, so that a renewed certificate is used."""

    route: Route
    tls: Callable[[], ssl.SSLContext | None]


@dataclass(slots=True)
class LinkHealth:
    """For `bedside-agent status`: since when connected (UTC ms), or why not."""

    connected_since_ms: int | None = None
    failures: int = 0
    last_error: str = ""


class Link:
    """Belongs to one event loop; `run` it until cancelled. The network may be gone for days."""

    def __init__(
        self,
        broker: Broker,
        hub_id: str,
        sender: Sender,
        handlers: Handlers,
        status: MakeStatus,
        clock: Clock,
        jitter: random.Random,
        *,
        status_seconds: float,
        backoff: Backoff,
    ) -> None:
        self.health = LinkHealth()
        self._broker = broker
        self._hub_id = hub_id
        self._sender = sender
        self._handlers = handlers
        self._status = status
        self._clock = clock
        self._jitter = jitter
        self._status_seconds = status_seconds
        self._backoff = backoff
        self._failures = 0
        self._failures_with_alarm = 0
        self._connected_at: float | None = None
        self._status_wanted = asyncio.Event()
        self._renewed = asyncio.Event()
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()
        self._session = ""

    async def run(self) -> None:
        """Stay connected until cancelled; then say good-bye."""
        while True:
            renewed = False
            try:
                await self._one_connection()
            except* _RenewedError:
                renewed = True
            except* (ConnectionFailedError, IdentityError) as group:
                self._lost(_first(group))
            if not renewed:
                await self._pause()

    def reconnect(self) -> None:
        """Begin again with the certificate that is in use now, at once and without a loss."""
        self._renewed.set()

    def report_status(self) -> None:
        """Send the status now; the cloud answers it with receipts for all that it holds."""
        self._status_wanted.set()

    def reply(self, reply: Reply) -> None:
        """Answer a command or plan. An answer that is lost is given again when the cloud asks again."""
        self._replies.put_nowait(reply)

    async def _pause(self) -> None:
        """Wait before the next attempt: long enough for 42,000 hubs that do the same, and less while an alarm waits."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._backoff.wait_seconds(self._failures, self._jitter.random())
        try:
            async with asyncio.timeout_at(until):
                await self._sender.alarm_waits()
        except TimeoutError:
            self._failures_with_alarm = 0
            return
        seconds = self._backoff.wait_with_alarm_seconds(self._failures_with_alarm, self._jitter.random())
        self._failures_with_alarm += 1
        await asyncio.sleep(min(seconds, until - loop.time()))

    async def _one_connection(self) -> None:
        self._session = str(uuid.uuid4())
        self._renewed.clear()
        tls = await asyncio.to_thread(self._broker.tls)
        down = [topic(self._hub_id, lane) for lane in DownLane]
        will = self._message(UpLane.STATUS, encode(self._status(HubState.OFFLINE, self._session)))
        async with connected(self._broker.route, tls, self._hub_id, will=will, subscribe=down) as connection:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._work(connection, tasks)
            except asyncio.CancelledError:
                await self._farewell(connection)
                raise

    async def _work(self, connection: Connection, tasks: asyncio.TaskGroup) -> None:
        inbox = Inbox(self._hub_id, self._handlers, tasks.create_task)

        async def receive() -> None:
            async for message in connection.messages():
                inbox.take(message)

        async def deliver(message: Message, acknowledged: Callable[[], None], *, urgent: bool) -> None:
            await connection.publish(message, urgent=urgent)
            acknowledged()

        def publish(lane: UpLane, body: bytes, acknowledged: Callable[[], None] = lambda: None) -> None:
            urgent = lane is UpLane.ALARMS
            tasks.create_task(deliver(self._message(lane, body), acknowledged, urgent=urgent))

        tasks.create_task(receive())
        # Before anything else: the answer names what is stored already, and it need not be sent again.
        await connection.publish(self._message(UpLane.STATUS, self._present_status()))
        self.health = LinkHealth(connected_since_ms=self._clock.now().utc_ms)
        self._connected_at = asyncio.get_running_loop().time()
        log.info("uplink.connected")
        tasks.create_task(self._sender.run(publish))
        tasks.create_task(self._say_status(publish))
        tasks.create_task(self._until_renewed())
        tasks.create_task(self._answer(publish))

    async def _until_renewed(self) -> None:
        await self._renewed.wait()
        raise _RenewedError

    async def _say_status(self, publish: Callable[[UpLane, bytes], None]) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._status_seconds):
                    await self._status_wanted.wait()
            self._status_wanted.clear()
            publish(UpLane.STATUS, self._present_status())

    async def _answer(self, publish: Callable[[UpLane, bytes], None]) -> None:
        while True:
            publish(UpLane.REPLIES, encode(await self._replies.get()))

    async def _farewell(self, connection: Connection) -> None:
        with contextlib.suppress(TimeoutError, ConnectionFailedError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                body = encode(self._status(HubState.OFFLINE, self._session))
                await connection.publish(self._message(UpLane.STATUS, body))

    def _present_status(self) -> bytes:
        return encode(self._status(HubState.ONLINE, self._session))

    def _message(self, lane: UpLane, body: bytes) -> Message:
        return Message(topic(self._hub_id, lane), body)

    def _lost(self, error: BaseException) -> None:
        if self.health.connected_since_ms is not None or self.health.last_error != str(error):
            log.warning("uplink.lost", extra={"reason": str(error)})
        self.health = LinkHealth(failures=self.health.failures + 1, last_error=str(error))
        began, self._connected_at = self._connected_at, None
        steady = began is not None and asyncio.get_running_loop().time() - began >= STEADY_SECONDS
        self._failures = 0 if steady else self._failures + 1


class _RenewedError(Exception):
    """The hub has another certificate: this connection ends for a better one."""


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
