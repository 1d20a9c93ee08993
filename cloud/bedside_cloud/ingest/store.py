"""Lanes' items into PostgreSQL, each exactly once, together with all that follows from them.

All lanes of a transaction go together: one lock, one COPY, one extension of the ranges, however many hubs speak.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from psycopg.types.json import Jsonb

from bedside_cloud.contracts.readings import (
    STORED_ALARM,
    STORED_EVENT,
    STORED_READINGS,
    STORED_WORD,
    StoredAlarm,
    StoredEvent,
)
from bedside_cloud.database.outbox import Due, enqueue
from bedside_cloud.database.pool import Connection
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest import lanes
from bedside_cloud.ingest.admission import Admitted
from bedside_cloud.ingest.aside import Item, keep_conflicts, keep_rejected
from bedside_cloud.ingest.assignments import Assignments
from bedside_cloud.ingest.disowning import keep_disowned, set_disowned_aside
from bedside_cloud.ingest.gaps import new_part
from bedside_cloud.ingest.lanes import SQL, Addition, LaneKey
from bedside_cloud.ingest.ranges import Pair, Settled, joined, of_sequences
from bedside_cloud.ingest.rows import TYPES, Rows, announcement
from bedside_cloud.ingest.timing import believable_times
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import PATIENT_SAYS_WELL, Event, Gap
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

Kind = TypeVar("Kind", Reading, Alarm, Event, Waveform)


@dataclass(slots=True)
class Stored:
    """What one transaction did to a lane.

    `settled` is everything the cloud now has of it; `announcement` the body of `StoredReadings`, if there is any.
    `lost` counts items that will not come: their hub told so in a gap.
    """

    key: LaneKey
    settled: tuple[Pair, ...] = ()
    announcement: bytes | None = None
    conflicts: int = 0
    dead_letters: int = 0
    lost: int = 0


@dataclass(slots=True)
class _Collected:
    """What the transaction will write, over all its lanes."""

    rows: Rows
    alarms: list[dict[str, object]] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)
    waveforms: list[dict[str, object]] = field(default_factory=list)
    gaps: list[dict[str, object]] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    said: list[tuple[LaneKey, Event]] = field(default_factory=list)


async def store_batches(
    connection: Connection, batches: Mapping[LaneKey, Sequence[Admitted]], assignments: Assignments
) -> list[Stored]:
    """Store what is new, in the caller's transaction.

    Rejected rows become dead letters, repeats with other content conflicts, and every fresh reading, alarm and event
    an outbox row for its consumer. Of a gap is kept what the cloud does not have: a hub may have let go what is stored.
    """
    if not batches:
        return []
    before = await lanes.lock(connection, batches)
    collected = _Collected(Rows(assignments, datetime.now(UTC)))
    outcomes: dict[LaneKey, Stored] = {}
    additions: dict[LaneKey, Addition] = {}
    for key, of_lane in batches.items():
        outcomes[key] = Stored(key)
        additions[key] = await _take_lane(connection, outcomes[key], of_lane, before[key], collected)
    await _write(connection, collected)
    said_by = await keep_disowned(connection, collected.said)
    await set_disowned_aside(connection, said_by | {key.hub_id for key in batches if key.lane is UpLane.READINGS})
    for key, settled in (await lanes.extend(connection, additions)).items():
        outcomes[key].settled = settled
    return list(outcomes.values())


async def _take_lane(
    connection: Connection, outcome: Stored, batches: Sequence[Admitted], before: Settled, collected: _Collected
) -> Addition:
    key = outcome.key
    fresh: set[int] = set()
    late: list[int] = []
    gaps: list[Pair] = []
    rejected: set[int] = set()
    announced: list[dict[str, object]] = []

    for admitted in batches:
        batch = admitted.batch
        bad = [one for one in batch.rejected if one.seq not in before]
        await keep_rejected(connection, key, admitted, bad)
        outcome.dead_letters += len(bad)
        rejected.update(one.seq for one in bad)
        items: tuple[Item, ...] = (*batch.readings, *batch.alarms, *batch.events, *batch.waveforms)
        again = [one for one in items if one.seq in before]
        conflicts, known = await keep_conflicts(connection, key, admitted, again)
        outcome.conflicts += conflicts
        late += [one.seq for one in again if one.seq not in known and one.seq not in fresh]

        def of_which_new(items: Sequence[Kind], known: Set[int] = known) -> list[Kind]:
            return [one for one in items if one.seq not in known and one.seq not in fresh]

        readings, alarms, events = of_which_new(batch.readings), of_which_new(batch.alarms), of_which_new(batch.events)
        announced += collected.rows.add(key, readings, admitted.heard_at_ms)
        _collect_alarms(collected, key, alarms, admitted.heard_at_ms)
        _collect_events(collected, key, events)
        _collect_waveforms(collected, key, of_which_new(batch.waveforms), admitted.heard_at_ms)
        fresh.update(one.seq for one in items if one.seq not in known)
    # After all items: what came as one is no gap, whatever the hub said of it before or after.
    dropped = [gap for admitted in batches for gap in admitted.batch.gaps]
    if dropped:
        held = joined((*before.pairs, *of_sequences(fresh | rejected)))
        new = new_part(dropped, held)
        collected.gaps += [_gap(key, gap) for gap in new]
        outcome.lost = sum(gap.count for gap in new)
        gaps = [(gap.first_seq, gap.last_seq) for gap in new]
    if late:
        await connection.execute(SQL["found_after_all"], {**key.parameters(), "seqs": late})
    if announced:
        heard_at_ms = min(admitted.heard_at_ms for admitted in batches)
        outcome.announcement = announcement(key.hub_id, heard_at_ms, announced)
        collected.due.append(Due(STORED_READINGS, key.hub_id, outcome.announcement))
    return Addition(joined((*of_sequences(fresh), *gaps)), of_sequences(rejected))


def _collect_alarms(collected: _Collected, key: LaneKey, alarms: Sequence[Alarm], heard_at_ms: int) -> None:
    for one in alarms:
        row = {"seq": one.seq, "condition": one.condition, "state": one.state.value, "body": Jsonb(to_map(one))}
        collected.alarms.append({**key.parameters(), **row})
        said = StoredAlarm(
            hub_id=key.hub_id, store_id=key.store_id, patient_id=one.patient_id, heard_at_ms=heard_at_ms, alarm=one
        )
        # Its own ordering key: an alarm never waits behind the same hub's readings.
        body = said.model_dump_json().encode()
        collected.due.append(Due(STORED_ALARM, f"{key.hub_id}/alarms", body, urgent=True))


def _collect_events(collected: _Collected, key: LaneKey, events: Sequence[Event]) -> None:
    for one in events:
        collected.events.append({**key.parameters(), "seq": one.seq, "kind": one.kind, "body": Jsonb(to_map(one))})
        collected.said.append((key, one))
        said = StoredEvent(hub_id=key.hub_id, store_id=key.store_id, event=one)
        body = said.model_dump_json().encode()
        collected.due.append(Due(STORED_EVENT, f"{key.hub_id}/events", body))
        if one.kind == PATIENT_SAYS_WELL:
            # Behind the alarm that it answers.
            collected.due.append(Due(STORED_WORD, f"{key.hub_id}/alarms", body, urgent=True))


def _collect_waveforms(collected: _Collected, key: LaneKey, waveforms: Sequence[Waveform], heard_at_ms: int) -> None:
    times = believable_times(waveforms, heard_at_ms)
    for one, taken_at_ms in zip(waveforms, times, strict=True):
        row = {**to_map(one), "taken_at": to_time(taken_at_ms), "samples": list(one.samples)}
        defaults = {"device_time": one.device_time, "attribution": one.attribution.value}
        collected.waveforms.append({**row, **defaults, **key.parameters()})


def _gap(key: LaneKey, one: Gap) -> dict[str, object]:
    first, last = one.first_taken_at_ms, one.last_taken_at_ms
    return {
        **key.parameters(),
        "first_seq": one.first_seq,
        "last_seq": one.last_seq,
        "items": one.count,
        "reason": one.reason.value,
        "first_taken_at": None if first is None else to_time(first),
        "last_taken_at": None if last is None else to_time(last),
    }


async def _write(connection: Connection, collected: _Collected) -> None:
    if collected.rows.rows:
        async with connection.cursor() as cursor, cursor.copy(SQL["copy_readings"]) as copy:
            copy.set_types(TYPES)
            for row in collected.rows.rows:
                await copy.write_row(row)
    statements = (
        ("insert_alarm", collected.alarms),
        ("insert_event", collected.events),
        ("insert_waveform", collected.waveforms),
        ("insert_gap", collected.gaps),
    )
    async with connection.cursor() as cursor:
        for name, parameters in statements:
            if parameters:
                await cursor.executemany(SQL[name], parameters)
    await enqueue(connection, *collected.due)
