"""Durable consumers of the hubs' lanes.

A stream holds what ingest has not yet settled. It is a convenience, not a promise: no broker's word is proof of
storage, and a stream whose store was deleted is made again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.link import honour_cancellation

LOG = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How long to wait for messages before looking whether the consumer is still there: a deleted store shows itself by
silence alone. Until then nothing keeps the hubs' messages, and an alarm is sent again only after 10 s."""

AGAIN_SECONDS = 0.2
SLOWEST_AGAIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """One stream and its one durable consumer, shared by all replicas.

    `ack_wait_seconds`: after this long without settlement a message goes to another replica. When the stream is full
    the oldest go: their hubs, having no receipt, send them again. `batches_under_way`: while `work` waits for one
    batch, it may begin with the next; it is called in the order in which messages came.
    """

    name: str
    subjects: tuple[str, ...]
    durable: str
    most_bytes: int = 1024 * 1024 * 1024
    ack_wait_seconds: float = 10.0
    most_at_once: int = 64
    batches_under_way: int = 2


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message of a lane: the subject that says whose it is, its body, and when the broker received it (UTC)."""

    subject: str
    body: bytes
    received_at_ms: int


class Unsettled(Exception):  # noqa: N818 - a state of the messages, not a fault
    """The messages could not be settled now (the database is away); they must come again."""


Work = Callable[[Sequence[Arrived]], Awaitable[None]]
"""Settle the messages: returns when all of them may be forgotten, raises when they must come again."""


async def consume(bus: Bus, settings: StreamSettings, work: Work, taken_up: asyncio.Event | None = None) -> None:
    """Give messages to `work` for ever, in batches, and acknowledge each batch after `work` has returned.

    `taken_up` is set once the stream is there: what hubs say before that is kept by nobody.

    What `work` raises never ends this: the messages come again, after an unexpected error one by one, so that the one
    that it cannot bear delays no other.
    """
    while True:
        try:
            await _consume_until_lost(bus, settings, work, taken_up or asyncio.Event())
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as cause:
            honour_cancellation()
            LOG.info("stream_again stream=%s cause=%s", settings.name, type(cause).__name__)
            await asyncio.sleep(AGAIN_SECONDS)


async def _consume_until_lost(bus: Bus, settings: StreamSettings, work: Work, taken_up: asyncio.Event) -> None:
    jetstream = bus.client.jetstream(timeout=LOOK_SECONDS)
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
    LOG.info("stream_taken_up stream=%s", settings.name)
    taken_up.set()
    under_way: deque[asyncio.Task[None]] = deque()
    try:
        while True:
            try:
                messages = await subscription.fetch(settings.most_at_once, timeout=LOOK_SECONDS)
            except TimeoutError:
                messages = []
            honour_cancellation()
            if not messages:
                await subscription.consumer_info()
                continue
            under_way.append(asyncio.create_task(_settle(messages, work)))
            while under_way and (len(under_way) >= settings.batches_under_way or under_way[0].done()):
                await under_way[0]
                under_way.popleft()
    except asyncio.CancelledError:
        for task in under_way:
            task.cancel()
        raise
    finally:
        await asyncio.gather(*under_way, return_exceptions=True)
        await subscription.unsubscribe()


async def _settle(messages: Sequence[Msg], work: Work) -> None:
    try:
        await work([_arrived(message) for message in messages])
    except Unsettled as cause:
        LOG.warning("unsettled messages=%d cause=%s", len(messages), cause)
        for message in messages:
            await message.nak(delay=0.5)
    except Exception as failure:  # whatever it is, nobody has been told that these are stored: they must come again
        LOG.exception("work_failed messages=%d", len(messages), exc_info=failure)
        if len(messages) > 1:
            for message in messages:
                await _settle([message], work)
        else:
            await messages[0].nak(delay=again_seconds(messages[0].metadata.num_delivered))
    else:
        for message in messages:
            await message.ack()


def again_seconds(deliveries: int) -> float:
    """The pause before a message comes again that nobody could bear: doubling from half a second, capped."""
    return float(min(SLOWEST_AGAIN_SECONDS, 0.25 * 2 ** min(deliveries, 16)))


def _arrived(message: Msg) -> Arrived:
    return Arrived(message.subject, message.data, round(message.metadata.timestamp.timestamp() * 1000))


async def _ensure_stream(jetstream: JetStreamContext, settings: StreamSettings) -> None:
    config = StreamConfig(
        name=settings.name,
        subjects=list(settings.subjects),
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.OLD,
        max_bytes=settings.most_bytes,
    )
    try:
        present = (await jetstream.stream_info(settings.name)).config
    except nats.js.errors.NotFoundError:
        await jetstream.add_stream(config)
        return
    if (sorted(present.subjects or ()), present.max_bytes) != (sorted(settings.subjects), settings.most_bytes):
        # Another version of this program made it.
        await jetstream.update_stream(config)
