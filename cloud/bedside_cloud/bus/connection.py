"""One service's connection to the bus: requests, endpoints, fan-out. With `link.py` and `streams.py` the
only importer of nats."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import nats.errors
import nats.micro
from nats.aio.msg import Msg
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER, Request
from nats.micro.service import EndpointConfig, ServiceConfig
from pydantic import ValidationError

from bedside_cloud.bus.actor import HEADER, header_of, name_actor
from bedside_cloud.bus.errors import BusError, RefusedError, UnansweredError
from bedside_cloud.bus.link import BusSettings, Link, honour_cancellation, linked
from bedside_cloud.contracts.delivery import Delivery
from bedside_cloud.contracts.message import Message

LOG = logging.getLogger(__name__)

Asked = TypeVar("Asked", bound=Message)
Answered = TypeVar("Answered", bound=Message)


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Asked, Answered]):
    """What a service answers on `subject`. The handler may raise RefusedError; it runs beside others."""

    subject: str
    asked: type[Asked]
    handler: Callable[[Asked], Awaitable[Answered]]


class Bus:
    """Open it with `Bus.open`. A lost connection is taken up again for ever; what was subscribed comes back."""

    def __init__(self, link: Link, settings: BusSettings) -> None:
        self.link = link
        self.client = link.client
        self._settings = settings
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: BusSettings) -> AsyncIterator["Bus"]:
        """Connect, waiting for a broker that is not there yet, and stay connected until the block ends.

        The block ends with EndedError when the broker will not have us.
        """
        async with linked(settings) as link:
            bus = cls(link, settings)
            try:
                yield bus
            finally:
                for task in bus._tasks:
                    task.cancel()

    async def request(
        self,
        subject: str,
        question: Message,
        answer: type[Answered],
        *,
        timeout_seconds: float | None = None,
        actor: str | None = None,
    ) -> Answered:
        """The answer to a question; UnansweredError or RefusedError. `actor` is the person who has it done."""
        asked = question.model_dump_json().encode()
        body = await self.request_bytes(subject, asked, timeout_seconds=timeout_seconds, actor=actor)
        return answer.model_validate_json(body)

    async def request_bytes(
        self, subject: str, body: bytes, *, timeout_seconds: float | None = None, actor: str | None = None
    ) -> bytes:
        """As `request`, with bodies as they stand on the bus."""
        seconds = timeout_seconds or self._settings.request_timeout_seconds
        named = header_of(actor) if actor else None
        try:
            reply = await self.client.request(subject, body, timeout=seconds, headers=named)
        except (nats.errors.Error, TimeoutError) as cause:
            honour_cancellation()
            raise UnansweredError(subject) from cause
        honour_cancellation()
        headers = reply.headers or {}
        if ERROR_CODE_HEADER in headers:
            raise RefusedError(int(headers[ERROR_CODE_HEADER]), headers.get(ERROR_HEADER, ""))
        return reply.data

    async def request_if_answered(self, subject: str, question: Message, answer: type[Answered]) -> Answered | None:
        """As `request`; None, with a line in the log, when nobody answers or the service refuses."""
        try:
            return await self.request(subject, question, answer)
        except BusError as cause:
            LOG.info("unanswered subject=%s cause=%s", subject, cause)
            return None

    async def deliver(self, subject: str, body: bytes) -> Delivery:
        """Deliver an outbox row."""
        try:
            await self.request_bytes(subject, body)
        except RefusedError as cause:
            LOG.info("delivery_refused subject=%s cause=%s", subject, cause)
            return Delivery.REFUSED
        except UnansweredError:
            LOG.info("delivery_unanswered subject=%s", subject)
            return Delivery.UNANSWERED
        return Delivery.COMMITTED

    async def publish(self, subject: str, message: Message) -> None:
        """Fan out a message; whoever is not listening misses it. A broker that is away is no error."""
        await self.publish_bytes(subject, message.model_dump_json().encode())

    async def publish_bytes(self, subject: str, body: bytes) -> None:
        """As `publish`, with the body as it stands on the bus or, on a hub's lane, on the wire."""
        try:
            await self.client.publish(subject, body)
        except nats.errors.Error as cause:
            LOG.info("publish_dropped subject=%s cause=%s", subject.rsplit(".", 1)[-1], type(cause).__name__)

    async def subscribe(
        self, subject: str, handler: Callable[[str, bytes], Awaitable[None]], *, queue: str = ""
    ) -> None:
        """Call `handler(subject, body)` for each message, in order; with a queue, one replica gets each.

        NotPermittedError when the map does not allow it. A handler that raises loses this message, not the next.
        """

        async def on_message(message: Msg) -> None:
            try:
                await handler(message.subject, message.data)
            except Exception as failure:  # one bad message must not end the listening; what it holds is not logged
                LOG.exception("message_failed subscription=%s", subject, exc_info=failure)

        await self.client.subscribe(subject, queue=queue, cb=on_message)
        await self.link.check_permitted()

    async def confirm(self, subject: str, handler: Callable[[bytes], Awaitable[None]]) -> None:
        """Call `handler` with each message's body, beside others; once it is through, tell who asked (`confirmed_by`).

        NotPermittedError when the map does not allow it. After a handler that raises nothing is confirmed.
        """

        async def confirmed(message: Msg) -> None:
            try:
                await handler(message.data)
                if message.reply:
                    await message.respond(b"")
            except Exception as failure:  # it must not end the listening
                LOG.warning("not_confirmed subject=%s cause=%s", subject, type(failure).__name__)

        async def on_message(message: Msg) -> None:
            self._start(confirmed(message))

        await self.client.subscribe(subject, cb=on_message)
        await self.link.check_permitted()

    async def confirmed_by(self, subject: str, message: Message, *, most: int, timeout_seconds: float) -> int:
        """Fan out a message and count who confirms it: until `most` have, or the time is over."""
        inbox, confirmed = self.client.new_inbox(), 0
        subscription = await self.client.subscribe(inbox, max_msgs=most)
        try:
            await self.client.publish(subject, message.model_dump_json().encode(), reply=inbox)
            async with asyncio.timeout(timeout_seconds):
                while confirmed < most:
                    await subscription.next_msg(timeout=None)
                    confirmed += 1
        except (nats.errors.Error, TimeoutError) as cause:
            honour_cancellation()
            LOG.info("not_confirmed subject=%s by=%d of=%d cause=%s", subject, confirmed, most, type(cause).__name__)
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        return confirmed

    async def serve(self, endpoints: tuple[Endpoint[Any, Any], ...]) -> None:
        """Answer requests as a NATS micro service, so that discovery, statistics and load sharing come with it.

        NotPermittedError when the map does not allow it.
        """
        service = await nats.micro.add_service(
            self.client, config=ServiceConfig(name=self._settings.service, version="1.0.0")
        )
        for endpoint in endpoints:
            name = endpoint.subject.replace(".", "-")
            await service.add_endpoint(
                EndpointConfig(name=name, subject=endpoint.subject, handler=self._beside(endpoint))
            )
        await self.link.check_permitted()

    def _beside(self, endpoint: Endpoint[Any, Any]) -> Callable[[Request], Awaitable[None]]:
        async def start(request: Request) -> None:
            self._start(_answer(endpoint, request))

        return start

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answer(endpoint: Endpoint[Any, Any], request: Request) -> None:
    try:
        await _respond(endpoint, request)
    except nats.errors.Error as cause:
        # The connection went away under the answer: the asker hears nothing and asks again.
        LOG.info("answer_lost subject=%s cause=%s", endpoint.subject, type(cause).__name__)


async def _respond(endpoint: Endpoint[Any, Any], request: Request) -> None:
    name_actor((request.headers or {}).get(HEADER))
    try:
        answer = await endpoint.handler(endpoint.asked.model_validate_json(request.data))
    except RefusedError as refusal:
        await request.respond_error(str(refusal.code), refusal.reason)
    except ValidationError as wrong:
        places = ", ".join(".".join(map(str, error["loc"])) for error in wrong.errors(include_input=False))
        await request.respond_error("400", f"malformed request: {places}")
    except Exception as failure:  # the asker must hear of any failure at once, not after its time-out
        LOG.exception("endpoint_failed subject=%s", endpoint.subject, exc_info=failure)
        await request.respond_error("500", "internal error")
    else:
        await request.respond(answer.model_dump_json().encode())
