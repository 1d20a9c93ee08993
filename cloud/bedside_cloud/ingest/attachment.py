"""Readings that were stored before anybody knew whose they are, attached once an assignment says so."""

from bedside_cloud.contracts.readings import QuarantineReason
from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.pool import Connection
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.assignments import Assignments, Stretch
from bedside_cloud.ingest.lanes import SQL
from bedside_profiles.ownership import Doubt


async def attach(connection: Connection, snapshot: AssignmentSnapshot) -> None:
    """Give every unassigned reading that falls into an assignment to its patient.

    One whose slot leaves in doubt whose it is goes into quarantine, and out of it when a slot is assigned to somebody.
    What only a person can decide stays as it is; so is what a hub measured while it was out of service.
    """
    if not snapshot.assignments:
        return
    stretches = list(Assignments(snapshot).stretches())
    # Two replicas would lock the same readings in different orders.
    await connection.execute(SQL["lock_attachment"])
    if snapshot.retirements:
        await connection.execute(
            SQL["set_retired_aside"],
            {
                **_times(stretches),
                "hub_ids": [out.hub_id for out in snapshot.retirements],
                "retired_from": [to_time(out.from_ms) for out in snapshot.retirements],
                "retired_until": [
                    None if out.until_ms is None else to_time(out.until_ms) for out in snapshot.retirements
                ],
                "hub_retired": QuarantineReason.HUB_RETIRED.value,
            },
        )
    found = [(stretch, owner) for stretch in stretches for owner in sorted(_owners(stretch))]
    await connection.execute(
        SQL["attach_readings"],
        {
            **_times([stretch for stretch, _ in found]),
            "patient_ids": [owner for _, owner in found],
            "users": [_users(stretch, owner) for stretch, owner in found],
        },
    )
    await connection.execute(
        SQL["doubt_readings"],
        {
            **_times(stretches),
            "users": [_users(stretch, *_owners(stretch)) for stretch in stretches],
            "user_missing": QuarantineReason.USER_MISSING.value,
            "user_unknown": QuarantineReason.USER_UNKNOWN.value,
        },
    )


def _owners(stretch: Stretch) -> set[str]:
    return {owner for owner in stretch.by_user.values() if owner is not None and not isinstance(owner, Doubt)}


def _users(stretch: Stretch, *owners: str) -> str:
    """The slots of these, as PostgreSQL writes a `text[]`; the empty text stands for a reading without a slot."""
    users = (user for user, owner in stretch.by_user.items() if owner in owners)
    return "{" + ",".join('""' if user is None else str(user) for user in users) + "}"


def _times(stretches: list[Stretch]) -> dict[str, object]:
    return {
        "device_ids": [stretch.device_id for stretch in stretches],
        "from_at": [to_time(stretch.from_ms) for stretch in stretches],
        "until_at": [None if stretch.until_ms is None else to_time(stretch.until_ms) for stretch in stretches],
    }
