"""A service in this process, on a real broker and a real database."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.support.database import TestDatabase
from tests.support.nats import TestBroker

from bedside_cloud.readiness import NOTIFY_VARIABLE, listen_for_ready
from bedside_cloud.settings import ServiceSettings

PATIENCE_SECONDS = 20.0


def settings_of(
    service: str, broker: TestBroker, database: TestDatabase, instance: str | None = None
) -> ServiceSettings:
    """What the supervisor would give the service, with the test's own database."""
    settings = broker.state.service_settings(service, instance or service)
    return replace(settings, database=database.settings(service))


@asynccontextmanager
async def running_service(
    main: Callable[[ServiceSettings], Awaitable[None]], settings: ServiceSettings
) -> AsyncIterator[None]:
    """The service while the block runs; it has said that it serves before the block begins."""
    async with listen_for_ready() as (address, said_ready):
        os.environ[NOTIFY_VARIABLE] = address
        task = asyncio.ensure_future(main(settings))
        try:
            ready = asyncio.ensure_future(said_ready.wait())
            await asyncio.wait((task, ready), timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            os.environ.pop(NOTIFY_VARIABLE)
            if not said_ready.is_set():
                ready.cancel()
                if task.done():
                    task.result()
                raise TimeoutError(f"{settings.instance} does not serve")
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled() and task.exception():
                task.result()
