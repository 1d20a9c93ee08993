"""Durable consumers of the hubs' lanes.

A stream holds what ingest has not yet settled. It is a convenience, not a promise: no broker's word is proof of
storage, and a stream whose store was deleted is made again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from bedside_cloud.bus.connection import Bus

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One stream and its one durable consumer, shared by all replicas.

    `ack_wait_seconds`: after this long without settlement a message goes to another replica. When the stream is full
    the oldest go: their hubs, having no receipt, send them again.
    """

    name: str
    subjects: tuple[str, ...]
    durable: str
    most_bytes: int = 1024 * 1024 * 1024
    ack_wait_seconds: float = 10.0
    most_at_once: int = 64


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message of a lane: the subject that says whose it is, its body, and when the broker received it (UTC)."""

    subject: str
    body: bytes
    received_at_ms: int


Work = Callable[[Sequence[Arrived]], Awaitable[None]]
"""Settle the messages: returns when all of them may be forgotten, raises when they must come again."""


async def consume(bus: Bus, settings: StreamSettings, work: Work) -> None:
    """Give messages to `work` for ever, in batches, and acknowledge each batch after `work` has returned."""
    while True:
        try:
            async for messages in _batches(bus, settings):
                await _settle(messages, work)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as cause:
            LOG.info("stream_again stream=%s cause=%s", settings.name, type(cause).__name__)
            await asyncio.sleep(0.2)


async def _settle(messages: Sequence[Msg], work: Work) -> None:
    try:
        await work([_arrived(message) for message in messages])
    except Unsettled as cause:
        LOG.warning("unsettled messages=%d cause=%s", len(messages), cause)
        for message in messages:
            await message.nak(delay=0.5)
    else:
        for message in messages:
            await message.ack()


def _arrived(message: Msg) -> Arrived:
    return Arrived(message.subject, message.data, round(message.metadata.timestamp.timestamp() * 1000))


class Unsettled(Exception):  # noqa: N818 - a state of the messages, not a fault
    """The messages could not be settled now (the database is away); they must come again."""


async def _batches(bus: Bus, settings: StreamSettings) -> AsyncIterator[list[Msg]]:
    jetstream = bus.client.jetstream(timeout=3)
    await _ensure_stream(jetstream, settings)
    subscription = await jetstream.pull_subscribe(
        "",
        durable=settings.durable,
        stream=settings.name,
        config=ConsumerConfig(
            durable_name=settings.durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=settings.ack_wait_seconds,
            max_ack_pending=settings.most_at_once * 16,
        ),
    )
    try:
        while True:
            try:
                messages = await subscription.fetch(settings.most_at_once, timeout=2)
            except TimeoutError:
                # Also how a deleted store shows itself: the broker has no such consumer and stays silent.
                await subscription.consumer_info()
            else:
                yield messages
    finally:
        await subscription.unsubscribe()


async def _ensure_stream(jetstream: JetStreamContext, settings: StreamSettings) -> None:
    config = StreamConfig(
        name=settings.name,
        subjects=list(settings.subjects),
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.OLD,
        max_bytes=settings.most_bytes,
    )
    try:
        await jetstream.stream_info(settings.name)
    except nats.js.errors.NotFoundError:
        await jetstream.add_stream(config)
