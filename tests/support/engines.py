"""Broker and database in a state directory, and single services as processes of their own: a cloud in parts."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.support.database import running_postgres
from tests.support.nats import TestBroker, running_broker

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.readiness import NOTIFY_VARIABLE, listen_for_ready

PATIENCE_SECONDS = 30.0


@contextmanager
def running_engines(folder: Path) -> Iterator[TestBroker]:
    """Both engines while the block runs; the state directory is the broker's."""
    with running_broker(folder) as broker, running_postgres(broker.state.postgres):
        broker.state.postgres.provision(SERVICES, broker.state.database_passwords)
        yield broker


@asynccontextmanager
async def service_process(broker: TestBroker, service: str, instance: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One service as the supervisor starts it; it serves when the block begins."""
    async with listen_for_ready() as (address, said_ready):
        command = [sys.executable, "-m", "bedside_cloud.supervisor.service", service, instance]
        with (broker.state.directory / "logs" / f"{instance}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command, str(broker.state.directory), stdout=log, stderr=log, env={NOTIFY_VARIABLE: address}
            )
        try:
            await asyncio.wait_for(said_ready.wait(), PATIENCE_SECONDS)
            yield process
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
