"""Receipts: what is stored, said after the commit. A lost one is said again at the hub's next status."""

import logging
from collections.abc import Mapping, Sequence

from bedside_cloud.bus.connection import Bus
from bedside_cloud.database.pool import Database, fetch_all, unavailable
from bedside_cloud.database.times import utc_now_ms
from bedside_cloud.ingest.admission import Refused
from bedside_cloud.ingest.lanes import SQL, LaneKey
from bedside_cloud.ingest.ranges import Pair, to_pairs
from bedside_profiles.errors import WireError
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.receipt import Receipt, Rejected, UndecodableBody
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, parse_topic, subject

LOG = logging.getLogger(__name__)

MOST_RANGES = 1024
"""Ranges in one receipt. A lane of more is told in several, none of which is complete: what no receipt ever covered
would be sent again for ever."""


class Receipts:
    """Publishes receipts on the hubs' own lanes."""

    def __init__(self, bus: Bus, generation: str) -> None:
        self._bus = bus
        self._generation = generation

    async def settled(self, key: LaneKey, pairs: Sequence[Pair], rejected: Mapping[int, str]) -> None:
        """Say all that is settled of a lane, the newest first, and why its rejected items were."""
        why = tuple(Rejected(seq, reason) for seq, reason in sorted(rejected.items())[:MOST_RANGES])
        for end in range(len(pairs), 0, -MOST_RANGES) or (0,):
            await self._say(
                Receipt(
                    schema=SCHEMA_VERSION,
                    hub_id=key.hub_id,
                    generation=self._generation,
                    lane=key.lane,
                    store_id=key.store_id,
                    stored=tuple(pairs[max(0, end - MOST_RANGES) : end]),
                    complete=len(pairs) <= MOST_RANGES,
                    rejected=why,
                )
            )
            why = ()

    async def undecodable(self, refused: Sequence[Refused]) -> None:
        """Name the bodies that could not be read; they are dead letters by now."""
        for one in refused:
            await self._say(
                Receipt(
                    schema=SCHEMA_VERSION,
                    hub_id=one.hub_id,
                    generation=self._generation,
                    lane=one.lane,
                    undecodable=(UndecodableBody(one.sha256, one.reason),),
                )
            )

    async def repeat(self, database: Database, status_subject: str, body: bytes) -> None:
        """Answer a hub's status with what is settled of each of its lanes, and with the time."""
        hub_id, _ = parse_topic(status_subject)
        asked_monotonic_ms = _asked(hub_id, body)
        if asked_monotonic_ms is not None:
            # At once and by itself: the answer's delay is the error of the hub's clock.
            await self._say(
                Receipt(
                    schema=SCHEMA_VERSION,
                    hub_id=hub_id,
                    generation=self._generation,
                    lane=UpLane.READINGS,
                    cloud_ms=utc_now_ms(),
                    asked_monotonic_ms=asked_monotonic_ms,
                )
            )
        try:
            async with database.transaction() as connection:
                rows = await fetch_all(connection, SQL["lanes_of_hub"], {"hub_id": hub_id})
        except unavailable as cause:
            LOG.info("receipts_not_repeated cause=%s", type(cause).__name__)
            return
        for store_id, lane, ranges in rows:
            await self.settled(LaneKey(hub_id, store_id, UpLane(lane)), to_pairs(ranges), {})

    async def _say(self, receipt: Receipt) -> None:
        await self._bus.publish_bytes(subject(receipt.hub_id, DownLane.RECEIPTS), encode(receipt))


def _asked(hub_id: str, body: bytes) -> int | None:
    """The hub's running time when it sent this status; None in a last will, and in what cannot be read."""
    try:
        status = decode(Status, body)
    except WireError as wrong:
        LOG.info("status_unreadable hub=%s reason=%s", hub_id, wrong.reason)
        return None
    return status.monotonic_ms if status.state is HubState.ONLINE else None
