"""“That was not me”: a measurement that the patient disowns goes into quarantine, whenever it comes.

A person decides what becomes of it, and that decision stands. An alert that it raised is the clinicians' to end.
"""

from collections.abc import Collection, Iterable

from bedside_cloud.contracts.readings import QuarantineReason
from bedside_cloud.database.pool import Connection
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.lanes import SQL, LaneKey
from bedside_profiles.wire.events import NOT_MINE, Event, disowned_measurement


async def keep_disowned(connection: Connection, events: Iterable[tuple[LaneKey, Event]]) -> set[str]:
    """Keep which measurements these events disown; the hubs whose patients said so."""
    hub_ids = set[str]()
    for key, event in events:
        named = disowned_measurement(event) if event.kind == NOT_MINE else None
        if named is None:
            continue
        store_id, first_seq = named
        said = {"store_id": store_id, "first_seq": first_seq, "said_at": to_time(event.at_ms)}
        await connection.execute(SQL["insert_disowned"], {"hub_id": key.hub_id, **said})
        hub_ids.add(key.hub_id)
    return hub_ids


async def set_disowned_aside(connection: Connection, hub_ids: Collection[str]) -> None:
    """Take what these hubs' patients disowned out of their records, after anything was stored."""
    if hub_ids:
        parameters = {"hub_ids": sorted(hub_ids), "disowned": QuarantineReason.DISOWNED.value}
        await connection.execute(SQL["set_disowned_aside"], parameters)
