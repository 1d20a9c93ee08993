"""Composition of the alerting service: the only place that names its parts."""

import asyncio
from pathlib import Path

from bedside_cloud.alerting.announcing import Announcer
from bedside_cloud.alerting.endpoints import Endpoints
from bedside_cloud.alerting.plans import NO_PLANS, Plans
from bedside_cloud.alerting.returning import Returning
from bedside_cloud.alerting.timers import run_timers
from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts import registry
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.registry import PlanSnapshot
from bedside_cloud.database.pool import Database
from bedside_cloud.database.projection import Projection
from bedside_cloud.database.times import utc_now_ms
from bedside_cloud.readiness import announce_ready
from bedside_cloud.settings import ServiceSettings
from bedside_profiles.wire.topics import UpLane, subject


async def main(settings: ServiceSettings) -> None:
    """Serve until cancelled."""
    async with (
        Database.open(settings.database, (Path(__file__).parent / "schema",)) as database,
        Bus.open(settings.bus) as bus,
    ):

        async def fetch() -> PlanSnapshot | None:
            return await bus.request_if_answered(registry.PLANS, Empty(), PlanSnapshot)

        projection = Projection(database, "plans", NO_PLANS, fetch)
        await projection.load()
        plans = Plans(projection)
        announcer = Announcer(bus)
        await bus.subscribe(registry.CHANGED, projection.hint)
        returning = Returning(database, announcer, utc_now_ms)
        await bus.subscribe(subject("*", UpLane.STATUS), returning.on_status, queue="alerting")
        await bus.serve(Endpoints(database, announcer, plans, utc_now_ms).table())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(projection.run())
            tasks.create_task(run_timers(database, announcer, plans, utc_now_ms))
            announce_ready()
