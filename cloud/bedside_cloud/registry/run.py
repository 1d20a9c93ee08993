"""Composition of the registry service: the only place that names its parts."""

from datetime import UTC, datetime
from pathlib import Path

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts import registry
from bedside_cloud.contracts.identity_administration import HUB_ENROLLED
from bedside_cloud.contracts.registry import Changed
from bedside_cloud.database.pool import Database
from bedside_cloud.readiness import announce_ready
from bedside_cloud.registry.commands import Commands
from bedside_cloud.registry.endpoints import Endpoints
from bedside_cloud.registry.lanes import Lanes
from bedside_cloud.registry.neighbour import Neighbour
from bedside_cloud.registry.patient_file import PatientFiles
from bedside_cloud.registry.plans import PlanIssuer
from bedside_cloud.registry.releases import Releases
from bedside_cloud.registry.retirement import Retirements
from bedside_cloud.registry.rollouts import Rollouts
from bedside_cloud.registry.signing import Signer
from bedside_cloud.settings import ServiceSettings
from bedside_profiles.wire.topics import UpLane, subject

QUEUE = "registry"


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def main(settings: ServiceSettings) -> None:
    """Serve until cancelled."""
    async with (
        Database.open(settings.database, (Path(__file__).parent / "schema",)) as database,
        Bus.open(settings.bus) as bus,
    ):
        signer = Signer(*settings.certificates.leaf("registry"))
        plans = PlanIssuer(signer, utc_now)
        commands = Commands(database, signer, utc_now)

        async def changed(version: int, hub_ids: tuple[str, ...]) -> None:
            await bus.publish(registry.CHANGED, Changed(version=version))
            for hub_id in hub_ids:
                await lanes.send_plan(hub_id)

        rollouts = Rollouts(database, commands, utc_now)
        lanes = Lanes(database, bus, plans, commands, changed, rollouts)
        await bus.subscribe(subject("*", UpLane.STATUS), lanes.on_status, queue=QUEUE)
        await bus.subscribe(subject("*", UpLane.REPLIES), lanes.on_reply, queue=QUEUE)
        endpoints = Endpoints(database, plans, utc_now, changed, Neighbour(bus))
        await bus.subscribe(HUB_ENROLLED, lanes.on_enrolled, queue=QUEUE)
        retirements = Retirements(database, plans, utc_now, changed)
        files, releases = PatientFiles(database), Releases(database, utc_now)
        parts = (endpoints, commands, retirements, files, releases, rollouts)
        await bus.serve(tuple([endpoint for part in parts for endpoint in part.table()]))
        announce_ready()
        await lanes.resend()
