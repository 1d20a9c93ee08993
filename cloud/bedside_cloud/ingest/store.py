"""One lane's items into PostgreSQL, each exactly once, together with all that follows from them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from psycopg.types.json import Jsonb

from bedside_cloud.contracts.readings import (
    STORED_ALARM,
    STORED_EVENT,
    STORED_READINGS,
    StoredAlarm,
    StoredEvent,
    StoredReading,
    StoredReadings,
)
from bedside_cloud.database.outbox import enqueue
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.admission import Admitted, Refused
from bedside_cloud.ingest.assignments import Assignments
from bedside_cloud.ingest.ranges import Pair, Settled, joined, to_multirange, to_pairs
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.topics import UpLane

SQL = Queries(Path(__file__).parent / "queries.sql")

READING_TYPES = (
    *("text", "text", "int8", "text", "uuid", "text", "float8", "text", "text", "text[]", "timestamptz", "text"),
    *("int8", "text", "text", "int4", "text", "int8", "timestamptz"),
)


@dataclass(frozen=True, slots=True)
class LaneKey:
    """One lane of one store of one hub: what is locked, and what a receipt speaks of. Sorts, so that locks do too."""

    hub_id: str
    store_id: str
    lane: UpLane

    def parameters(self) -> dict[str, object]:
        """As the named statements take it."""
        return {"hub_id": self.hub_id, "store_id": self.store_id, "lane": self.lane.value}


@dataclass(slots=True)
class Stored:
    """What one transaction did to a lane. `settled` is everything the cloud now has of it."""

    key: LaneKey
    heard_at_ms: int = 0
    settled: tuple[Pair, ...] = ()
    readings: list[StoredReading] = field(default_factory=list)
    conflicts: int = 0
    dead_letters: int = 0


async def store_batches(
    connection: Connection, key: LaneKey, batches: Sequence[Admitted], assignments: Assignments
) -> Stored:
    """Store what is new of `batches`, all of one lane, in the caller's transaction.

    Rejected rows become dead letters, repeats with other content conflicts, and every fresh reading, alarm and event
    an outbox row for its consumer.
    """
    await connection.execute(SQL["open_lane"], key.parameters())
    cursor = await connection.execute(SQL["lock_lane"], key.parameters())
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - open_lane made it in this transaction
    before = Settled(joined((*to_pairs(row[0]), *to_pairs(row[1]))))
    writer = _LaneWriter(connection, key, assignments, min(one.heard_at_ms for one in batches))
    fresh: list[Pair] = []
    rejected: list[Pair] = []
    seen: set[int] = set()
    for admitted in batches:
        batch = admitted.batch
        for dead in batch.rejected:
            if dead.seq not in before:
                await writer.dead_letter(admitted, dead.seq, dead.reason)
                rejected.append((dead.seq, dead.seq))
        new_readings = [one for one in batch.readings if one.seq not in before and one.seq not in seen]
        new_alarms = [one for one in batch.alarms if one.seq not in before and one.seq not in seen]
        new_events = [one for one in batch.events if one.seq not in before and one.seq not in seen]
        await writer.compare(admitted, [one for one in batch.readings if one.seq in before])
        await writer.copy(new_readings)
        await writer.alarms(new_alarms, admitted.heard_at_ms)
        await writer.events(new_events)
        await writer.gaps(batch.gaps)
        sequences = [one.seq for one in new_readings]
        sequences += [one.seq for one in new_alarms]
        sequences += [one.seq for one in new_events]
        seen.update(sequences)
        fresh += [(seq, seq) for seq in sequences]
        fresh += [(gap.first_seq, gap.last_seq) for gap in batch.gaps]
    writer.stored.settled = await _extend(connection, key, joined(fresh), joined(rejected))
    if writer.stored.readings:
        message = StoredReadings(
            hub_id=key.hub_id, heard_at_ms=writer.stored.heard_at_ms, readings=tuple(writer.stored.readings)
        )
        await enqueue(connection, STORED_READINGS, key.hub_id, message.model_dump_json().encode())
    return writer.stored


async def store_refused(connection: Connection, refused: Iterable[Refused]) -> None:
    """Keep bodies in which nothing could be named."""
    for one in refused:
        await connection.execute(
            SQL["insert_dead_letter"],
            {
                "hub_id": one.hub_id,
                "lane": one.lane.value,
                "store_id": None,
                "seq": None,
                "sha256": one.sha256,
                "reason": one.reason,
                "body": one.body,
            },
        )


async def _extend(
    connection: Connection, key: LaneKey, stored: tuple[Pair, ...], rejected: tuple[Pair, ...]
) -> tuple[Pair, ...]:
    cursor = await connection.execute(
        SQL["extend_lane"],
        {**key.parameters(), "stored": to_multirange(stored), "rejected": to_multirange(rejected)},
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the row is locked by this transaction
    return to_pairs(row[0])


class _LaneWriter:
    """The statements of one lane in one transaction."""

    def __init__(self, connection: Connection, key: LaneKey, assignments: Assignments, heard_at_ms: int) -> None:
        self._connection = connection
        self._key = key
        self._assignments = assignments
        self.stored = Stored(key, heard_at_ms)

    async def copy(self, readings: Sequence[Reading]) -> None:
        if not readings:
            return
        now = datetime.now(UTC)
        async with self._connection.cursor() as cursor, cursor.copy(SQL["copy_readings"]) as copy:
            copy.set_types(READING_TYPES)
            for one in readings:
                patient_id = self._assignments.patient(one.device_id, one.taken_at_ms)
                await copy.write_row(self._row(one, patient_id, now))
                if patient_id is not None:
                    self.stored.readings.append(self._announced(one, patient_id))

    def _row(self, one: Reading, patient_id: str | None, now: datetime) -> tuple[object, ...]:
        return (
            self._key.hub_id,
            self._key.store_id,
            one.seq,
            one.device_id,
            patient_id and UUID(patient_id),
            one.metric.value,
            one.value,
            one.range_flag and one.range_flag.value,
            one.modality.value,
            [flag.value for flag in one.quality],
            to_time(one.taken_at_ms),
            one.boot_id,
            one.monotonic_ms,
            one.clock_quality.value,
            one.device_time,
            one.device_user,
            one.attribution.value,
            one.group,
            now,
        )

    def _announced(self, one: Reading, patient_id: str) -> StoredReading:
        return StoredReading.model_construct(
            patient_id=patient_id,
            device_id=one.device_id,
            metric=one.metric,
            value=one.value,
            range_flag=one.range_flag,
            modality=one.modality,
            taken_at_ms=one.taken_at_ms,
            store_id=self._key.store_id,
            seq=one.seq,
        )

    async def alarms(self, alarms: Sequence[Alarm], heard_at_ms: int) -> None:
        for one in alarms:
            await self._connection.execute(
                SQL["insert_alarm"],
                {
                    **self._key.parameters(),
                    "seq": one.seq,
                    "condition": one.condition,
                    "state": one.state.value,
                    "body": Jsonb(to_map(one)),
                },
            )
            message = StoredAlarm(
                hub_id=self._key.hub_id,
                store_id=self._key.store_id,
                patient_id=one.patient_id,
                heard_at_ms=heard_at_ms,
                alarm=one,
            )
            # Its own ordering key: an alarm never waits behind the same hub's readings.
            body = message.model_dump_json().encode()
            await enqueue(self._connection, STORED_ALARM, f"{self._key.hub_id}/alarms", body, urgent=True)

    async def events(self, events: Sequence[Event]) -> None:
        for one in events:
            await self._connection.execute(
                SQL["insert_event"],
                {**self._key.parameters(), "seq": one.seq, "kind": one.kind, "body": Jsonb(to_map(one))},
            )
            message = StoredEvent(hub_id=self._key.hub_id, store_id=self._key.store_id, event=one)
            await enqueue(
                self._connection, STORED_EVENT, f"{self._key.hub_id}/events", message.model_dump_json().encode()
            )

    async def gaps(self, gaps: Sequence[Gap]) -> None:
        for one in gaps:
            first, last = one.first_taken_at_ms, one.last_taken_at_ms
            await self._connection.execute(
                SQL["insert_gap"],
                {
                    **self._key.parameters(),
                    "first_seq": one.first_seq,
                    "last_seq": one.last_seq,
                    "items": one.count,
                    "reason": one.reason.value,
                    "first_taken_at": None if first is None else to_time(first),
                    "last_taken_at": None if last is None else to_time(last),
                },
            )

    async def dead_letter(self, admitted: Admitted, seq: int, reason: str) -> None:
        self.stored.dead_letters += 1
        await self._connection.execute(
            SQL["insert_dead_letter"],
            {
                **self._key.parameters(),
                "seq": seq,
                "sha256": admitted.sha256,
                "reason": reason,
                "body": admitted.body,
            },
        )

    async def compare(self, admitted: Admitted, readings: Sequence[Reading]) -> None:
        """Keep what came again under a stored identity with other content. Time of day may differ: it is re-timed."""
        if not readings:
            return
        rows = await fetch_all(
            self._connection,
            SQL["readings_again"],
            {**self._key.parameters(), "seqs": [one.seq for one in readings]},
        )
        known = {row[0]: tuple(row[1:]) for row in rows}
        for one in readings:
            flag = one.range_flag and one.range_flag.value
            content = (one.device_id, one.metric.value, one.value, flag, one.boot_id, one.monotonic_ms)
            if one.seq in known and known[one.seq] != content:
                self.stored.conflicts += 1
                await self._connection.execute(
                    SQL["insert_conflict"],
                    {
                        **self._key.parameters(),
                        "seq": one.seq,
                        "sha256": admitted.sha256,
                        "body": Jsonb(to_map(one), dumps=json.dumps),
                    },
                )
