"""Readings that were stored before anybody knew whose they are, attached once an assignment says so."""

from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.pool import Connection
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.lanes import SQL


async def attach(connection: Connection, snapshot: AssignmentSnapshot) -> None:
    """Give every unassigned reading that falls into an assignment to its patient."""
    if not snapshot.assignments:
        return
    # Two replicas would lock the same readings in different orders.
    await connection.execute(SQL["lock_attachment"])
    await connection.execute(
        SQL["attach_readings"],
        {
            "device_ids": [one.device_id for one in snapshot.assignments],
            "patient_ids": [one.patient_id for one in snapshot.assignments],
            "from_at": [to_time(one.from_ms) for one in snapshot.assignments],
            "until_at": [None if one.until_ms is None else to_time(one.until_ms) for one in snapshot.assignments],
        },
    )
