"""Readings that were stored before anybody knew whose they are, attached once an assignment says so."""

from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.pool import Connection
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.store import SQL


async def attach(connection: Connection, snapshot: AssignmentSnapshot) -> None:
    """Give every unassigned reading that falls into an assignment to its patient."""
    for one in snapshot.assignments:
        await connection.execute(
            SQL["attach_readings"],
            {
                "patient_id": one.patient_id,
                "device_id": one.device_id,
                "from_at": to_time(one.from_ms),
                "until_at": None if one.until_ms is None else to_time(one.until_ms),
            },
        )
