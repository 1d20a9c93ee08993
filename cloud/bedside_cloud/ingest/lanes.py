"""What the cloud has of each lane: locked while something is added, and told in receipts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.ingest.ranges import Pair, Settled, joined, to_pairs, to_text
from bedside_profiles.wire.topics import UpLane

SQL = Queries(Path(__file__).parent / "queries.sql")


@dataclass(frozen=True, slots=True)
class LaneKey:
    """One lane of one store of one hub: what is locked, and what a receipt speaks of."""

    hub_id: str
    store_id: str
    lane: UpLane

    def parameters(self) -> dict[str, object]:
        """As the named statements take it."""
        return {"hub_id": self.hub_id, "store_id": self.store_id, "lane": self.lane.value}


@dataclass(frozen=True, slots=True)
class Addition:
    """Sequences of a lane that are settled from now on: stored, or rejected and kept as dead letters."""

    stored: tuple[Pair, ...]
    rejected: tuple[Pair, ...]


async def lock(connection: Connection, keys: Iterable[LaneKey]) -> dict[LaneKey, Settled]:
    """Hold the lanes until the transaction ends; what was settled of each. All workers lock in one order."""
    parameters = _columns(keys)
    await connection.execute(SQL["open_lanes"], parameters)
    rows = await fetch_all(connection, SQL["lock_lanes"], parameters)
    return {
        LaneKey(hub_id, store_id, UpLane(lane)): Settled(joined((*to_pairs(stored), *to_pairs(rejected))))
        for hub_id, store_id, lane, stored, rejected in rows
    }


async def extend(connection: Connection, additions: Mapping[LaneKey, Addition]) -> dict[LaneKey, tuple[Pair, ...]]:
    """Add to the lanes, which are locked; everything that is settled of each now."""
    parameters = _columns(additions)
    parameters["stored"] = [to_text(addition.stored) for addition in additions.values()]
    parameters["rejected"] = [to_text(addition.rejected) for addition in additions.values()]
    rows = await fetch_all(connection, SQL["extend_lanes"], parameters)
    return {LaneKey(hub_id, store_id, UpLane(lane)): to_pairs(settled) for hub_id, store_id, lane, settled in rows}


def _columns(keys: Iterable[LaneKey]) -> dict[str, object]:
    held = list(keys)
    return {
        "hub_ids": [key.hub_id for key in held],
        "store_ids": [key.store_id for key in held],
        "lanes": [key.lane.value for key in held],
    }
