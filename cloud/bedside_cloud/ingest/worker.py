"""From the stream to the receipt: admit, store in one transaction, and only then say what is stored."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.streams import Arrived, Unsettled
from bedside_cloud.contracts.readings import LIVE
from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.outbox import Relay
from bedside_cloud.database.pool import Database, unavailable
from bedside_cloud.database.projection import Projection
from bedside_cloud.ingest.admission import Admitted, Refused, admit
from bedside_cloud.ingest.aside import keep_refused
from bedside_cloud.ingest.assignments import Assignments
from bedside_cloud.ingest.lanes import LaneKey
from bedside_cloud.ingest.receipts import Receipts
from bedside_cloud.ingest.store import Stored, store_batches
from bedside_profiles.errors import WireError

LOG = logging.getLogger(__name__)

Lanes = Mapping[LaneKey, Sequence[Admitted]]


class Worker:
    """Settles messages of one stream. Calls may overlap: messages are read at once, and stored one call after the
    other, in the order of the calls. Other workers, here and in other processes, store at the same time."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        relay: Relay,
        receipts: Receipts,
        projection: Projection[AssignmentSnapshot],
    ) -> None:
        self._database = database
        self._bus = bus
        self._relay = relay
        self._receipts = receipts
        self._projection = projection
        self._assignments = Assignments(projection.current)
        self._in_turn = asyncio.Lock()

    async def work(self, messages: Sequence[Arrived]) -> None:
        """Store the messages and publish their receipts; Unsettled while the database is away."""
        lanes, refused = sort_out(messages)
        try:
            async with self._in_turn:
                stored = await self._store(lanes, refused)
        except unavailable as cause:
            raise Unsettled(type(cause).__name__) from cause
        self._relay.kick()
        await self._receipts.undecodable(refused)
        for one in stored:
            await self._receipts.settled(one.key, one.settled, _rejections(lanes[one.key]))
            if one.announcement is not None:
                await self._bus.publish_bytes(LIVE, one.announcement)
            if one.conflicts or one.dead_letters:
                LOG.warning("not_all_admitted conflicts=%d dead_letters=%d", one.conflicts, one.dead_letters)
            if one.lost:
                LOG.warning("items_lost hub=%s lane=%s items=%d", one.key.hub_id, one.key.lane.value, one.lost)

    async def _store(self, lanes: Lanes, refused: list[Refused]) -> list[Stored]:
        """What was stored; `refused` grows by what could not be."""
        try:
            return await self._together(lanes, refused)
        except unavailable:
            raise
        except Exception as cause:  # values that the database never takes, or a fault of ours: it must hold up nobody
            LOG.warning("storing_one_by_one cause=%s", type(cause).__name__)
        await self._together({}, refused)
        stored: list[Stored] = []
        for key, batches in lanes.items():
            for admitted in batches:
                try:
                    stored += await self._together({key: [admitted]}, ())
                except unavailable:
                    raise
                except Exception as cause:  # as above; the body is kept with the reason, so that nothing is lost
                    LOG.exception("cannot_be_stored lane=%s", key.lane.value, exc_info=cause)
                    given_up = _given_up(admitted, cause)
                    await self._together({}, [given_up])
                    refused.append(given_up)
        return stored

    async def _together(self, lanes: Lanes, refused: Sequence[Refused]) -> list[Stored]:
        if self._assignments.snapshot is not self._projection.current:
            self._assignments = Assignments(self._projection.current)
        async with self._database.transaction() as connection:
            await keep_refused(connection, refused)
            return await store_batches(connection, lanes, self._assignments)


def sort_out(messages: Sequence[Arrived]) -> tuple[dict[LaneKey, list[Admitted]], list[Refused]]:
    """Messages by lane, and what cannot be read."""
    lanes: dict[LaneKey, list[Admitted]] = defaultdict(list)
    refused: list[Refused] = []
    for message in messages:
        try:
            decision = admit(message.subject, message.body, message.received_at_ms)
        except WireError as wrong:
            LOG.warning("not_a_lane reason=%s", wrong.reason)
            continue
        if isinstance(decision, Refused):
            refused.append(decision)
        else:
            header = decision.batch.header
            lanes[LaneKey(header.hub_id, header.store_id, header.lane)].append(decision)
    return dict(lanes), refused


def _given_up(admitted: Admitted, cause: BaseException) -> Refused:
    header = admitted.batch.header
    reason = f"it could not be stored: {type(cause).__name__}"
    return Refused(header.hub_id, header.lane, admitted.body, admitted.sha256, reason)


def _rejections(batches: Sequence[Admitted]) -> dict[int, str]:
    return {dead.seq: dead.reason for admitted in batches for dead in admitted.batch.rejected}
