"""From the stream to the receipt: admit, store in one transaction, and only then say what is stored."""

import logging
from collections import defaultdict
from collections.abc import Sequence

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.streams import Arrived, Unsettled
from bedside_cloud.contracts.readings import LIVE, StoredReadings
from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.outbox import Relay
from bedside_cloud.database.pool import Database, data_faults, unavailable
from bedside_cloud.database.projection import Projection
from bedside_cloud.ingest.admission import Admitted, Refused, admit
from bedside_cloud.ingest.assignments import Assignments
from bedside_cloud.ingest.receipts import Receipts
from bedside_cloud.ingest.store import LaneKey, Stored, store_batches, store_refused
from bedside_profiles.errors import WireError

LOG = logging.getLogger(__name__)


class Worker:
    """Settles messages of the sequenced lanes. Several run at once, in one process and in many."""

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

    async def work(self, messages: Sequence[Arrived]) -> None:
        """Store the messages and publish their receipts; Unsettled while the database is away."""
        lanes, refused = sort_out(messages)
        try:
            stored = await self._store(lanes, refused)
        except unavailable as cause:
            raise Unsettled(type(cause).__name__) from cause
        self._relay.kick()
        await self._receipts.undecodable(refused)
        for one in stored:
            await self._receipts.settled(one.key, one.settled, _rejections(lanes[one.key]))
            if one.readings:
                live = StoredReadings(hub_id=one.key.hub_id, heard_at_ms=one.heard_at_ms, readings=tuple(one.readings))
                await self._bus.publish(LIVE, live)
            if one.conflicts or one.dead_letters:
                LOG.warning("not_all_admitted conflicts=%d dead_letters=%d", one.conflicts, one.dead_letters)

    async def _store(self, lanes: dict[LaneKey, list[Admitted]], refused: Sequence[Refused]) -> list[Stored]:
        try:
            return await self._together(lanes, refused)
        except data_faults as cause:
            # One message that the database will not take must not hold up the others: each lane by itself.
            LOG.warning("storing_one_by_one cause=%s", type(cause).__name__)
        stored: list[Stored] = []
        await self._together({}, refused)
        for key, batches in lanes.items():
            for admitted in batches:
                try:
                    stored += await self._together({key: [admitted]}, ())
                except data_faults as cause:
                    await self._together({}, [self._given_up(admitted, cause)])
        return stored

    async def _together(self, lanes: dict[LaneKey, list[Admitted]], refused: Sequence[Refused]) -> list[Stored]:
        if self._assignments.snapshot is not self._projection.current:
            self._assignments = Assignments(self._projection.current)
        assignments = self._assignments
        async with self._database.transaction() as connection:
            await store_refused(connection, refused)
            return [await store_batches(connection, key, batches, assignments) for key, batches in lanes.items()]

    def _given_up(self, admitted: Admitted, cause: BaseException) -> Refused:
        header = admitted.batch.header
        reason = f"the database refused it: {type(cause).__name__}"
        return Refused(header.hub_id, header.lane, admitted.body, admitted.sha256, reason)


def sort_out(messages: Sequence[Arrived]) -> tuple[dict[LaneKey, list[Admitted]], list[Refused]]:
    """Messages by lane, lanes in the order in which every worker locks them, and what cannot be read."""
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
    ordered = sorted(lanes, key=lambda key: (key.hub_id, key.store_id, key.lane.value))
    return {key: lanes[key] for key in ordered}, refused


def _rejections(batches: Sequence[Admitted]) -> dict[int, str]:
    return {dead.seq: dead.reason for admitted in batches for dead in admitted.batch.rejected}
