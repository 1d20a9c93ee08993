"""One connection to the broker that stays, or says in sentences why it will not."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
import nats.errors
from nats.aio.client import Client

from bedside_cloud.bus.errors import EndedError, NotPermittedError

LOG = logging.getLogger(__name__)

AGAIN_SECONDS = 0.25
"""Between attempts to reach a broker that is not there; short, because alarms wait for it."""

GREETING_SECONDS = 6.0
"""How long the broker may take to accept or refuse a login. It gives up a login itself after 3 s."""

_REFUSED_SUBSCRIPTION = "permissions violation for subscription to "


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Where the broker is and who we are.

    `url` is `tls://host:port`; `ca_file` verifies the broker; `seed_file` holds the service's nkey seed.
    """

    service: str
    url: str
    ca_file: Path
    seed_file: Path
    request_timeout_seconds: float = 5.0


@dataclass(slots=True)
class Link:
    """A live connection. `reconnected` is set anew whenever a lost one was taken up again: what the broker only
    held in its memory or its store may be gone then."""

    client: Client
    service: str
    refused: list[str] = field(default_factory=list)
    reconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def check_permitted(self) -> None:
        """NotPermittedError if the broker refused a subscription up to now. A broker that is away says nothing."""
        # The broker answers in order, so its refusals stand before its answer to a ping. But the library's first ping
        # overtakes what it has not written yet; the second one does not.
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            for _ in range(2):
                await self.client.flush(timeout=5)
        if self.refused:
            raise NotPermittedError(self.service, self.refused[0])


@asynccontextmanager
async def linked(settings: BusSettings) -> AsyncIterator[Link]:
    """A connection for the length of the block.

    A broker that is not there yet is waited for, and a lost connection is taken up again for ever. EndedError when
    the broker refuses the login, now or after its restart: the client library would stay silent and dead.
    """
    owner = asyncio.current_task()
    ended: list[Exception] = []
    leaving = False
    link: Link | None = None

    async def on_error(error: Exception) -> None:
        text = str(error)
        place = text.lower().find(_REFUSED_SUBSCRIPTION)
        if place >= 0 and link is not None:
            link.refused.append(text[place + len(_REFUSED_SUBSCRIPTION) :].strip("'\" "))
        if "permissions violation" in text.lower():
            LOG.error("not_permitted %s", text)
        else:
            LOG.warning("bus_error cause=%s", type(error).__name__)

    async def on_reconnected() -> None:
        LOG.info("bus_reconnected")
        if link is not None:
            link.reconnected.set()

    async def on_closed() -> None:
        if not leaving and link is not None and owner is not None:
            ended.append(EndedError(settings.service, _cause(link.client)))
            owner.cancel()

    client = await _connect(settings, on_error, on_reconnected, on_closed)
    link = Link(client, settings.service)
    try:
        yield link
    except asyncio.CancelledError:
        if not ended or owner is None:
            raise
        owner.uncancel()
        raise ended[0] from None
    finally:
        leaving = True
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await client.close()


def honour_cancellation() -> None:
    """Raise CancelledError if this task was cancelled. Call it after waiting inside the client library.

    The library waits with asyncio.wait_for, which in Python 3.11 loses a cancellation that comes together with what
    was waited for: a task that was told to end would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _connect(settings: BusSettings, *callbacks: Callable[..., object]) -> Client:
    on_error, on_reconnected, on_closed = callbacks
    context = ssl.create_default_context(cafile=str(settings.ca_file))
    while True:
        try:
            client = await nats.connect(
                settings.url,
                name=settings.service,
                nkeys_seed=str(settings.seed_file),
                tls=context,
                inbox_prefix=f"_INBOX.{settings.service}".encode(),
                max_reconnect_attempts=-1,
                reconnect_time_wait=AGAIN_SECONDS,
                connect_timeout=3,
                ping_interval=5,
                max_outstanding_pings=2,
                error_cb=on_error,
                reconnected_cb=on_reconnected,
                closed_cb=on_closed,
                allow_reconnect=True,
            )
        except (nats.errors.Error, OSError, TimeoutError) as cause:
            LOG.info("bus_waits cause=%s", type(cause).__name__)
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        if await _is_greeted(settings, client):
            return client
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await client.close()


async def _is_greeted(settings: BusSettings, client: Client) -> bool:
    """Whether the login holds; EndedError when it is refused.

    The library returns without an error when it was cut instead of greeted, and goes on trying by itself until the
    broker says why.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GREETING_SECONDS):
            while not client.is_connected:
                if client.is_closed:
                    raise EndedError(settings.service, _cause(client))
                await asyncio.sleep(0.05)
            return True
    return False


def _cause(client: Client) -> str:
    return str(client.last_error or "no reason given").removeprefix("nats: ")
