"""Composition of the ingest service: the only place that names its parts."""

import asyncio
from pathlib import Path

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.streams import StreamSettings, consume
from bedside_cloud.contracts import registry
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import LIVE
from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.outbox import Relay
from bedside_cloud.database.pool import Database, fetch_all
from bedside_cloud.database.projection import Projection
from bedside_cloud.ingest.assignments import NOBODY
from bedside_cloud.ingest.attachment import attach
from bedside_cloud.ingest.endpoints import Endpoints
from bedside_cloud.ingest.lanes import SQL
from bedside_cloud.ingest.quarantine import Quarantine
from bedside_cloud.ingest.receipts import Receipts
from bedside_cloud.ingest.worker import Worker
from bedside_cloud.readiness import announce_ready
from bedside_cloud.settings import ServiceSettings
from bedside_profiles.wire.topics import UpLane, subject

ALARMS = StreamSettings(name="ALARMS", subjects=(subject("*", UpLane.ALARMS),), durable="ingest")
READINGS = StreamSettings(
    name="READINGS",
    subjects=(
        subject("*", UpLane.READINGS),
        subject("*", UpLane.WAVEFORMS),
        subject("*", UpLane.EVENTS),
    ),
    durable="ingest",
)


async def main(settings: ServiceSettings) -> None:
    """Serve until cancelled."""
    async with (
        Database.open(settings.database, (Path(__file__).parent / "schema",)) as database,
        Bus.open(settings.bus) as bus,
    ):
        async with database.transaction() as connection:
            generation = (await fetch_all(connection, SQL["generation"], {}))[0][0]

        async def fetch() -> AssignmentSnapshot | None:
            return await bus.request_if_answered(registry.ASSIGNMENTS, Empty(), AssignmentSnapshot)

        projection = Projection(database, "assignments", NOBODY, fetch, attach)
        await projection.load()
        relay = Relay(database, bus.deliver)
        receipts = Receipts(bus, generation)

        async def on_status(status_subject: str, body: bytes) -> None:
            await receipts.repeat(database, status_subject, body)

        await bus.subscribe(registry.CHANGED, projection.hint)
        await bus.subscribe(subject("*", UpLane.STATUS), on_status, queue="ingest")

        async def announce(body: bytes) -> None:
            relay.kick()
            await bus.publish_bytes(LIVE, body)

        endpoints = Endpoints(database, lambda: projection.current)
        await bus.serve((*endpoints.table(), *Quarantine(database, announce).table()))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            tasks.create_task(projection.run())
            streams = {stream: asyncio.Event() for stream in (ALARMS, READINGS)}
            for stream, taken_up in streams.items():
                worker = Worker(database, bus, relay, receipts, projection)
                tasks.create_task(consume(bus, stream, worker.work, taken_up))
            await asyncio.gather(*(taken_up.wait() for taken_up in streams.values()))
            announce_ready()
