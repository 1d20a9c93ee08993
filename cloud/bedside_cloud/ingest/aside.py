"""What is kept beside the record: dead letters, and the same identity with other content."""

from collections.abc import Iterable, Sequence

from psycopg.types.json import Jsonb

from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.ingest.admission import Admitted, Refused
from bedside_cloud.ingest.lanes import SQL, LaneKey
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.fields import to_map
from bedside_profiles.wire.receipt import Rejected
from bedside_profiles.wire.waveform import Waveform

Item = Reading | Alarm | Event | Waveform

AGAIN = {
    Reading: "readings_again",
    Alarm: "alarms_again",
    Event: "events_again",
    Waveform: "waveforms_again",
}


async def keep_refused(connection: Connection, refused: Iterable[Refused]) -> None:
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


async def keep_rejected(connection: Connection, key: LaneKey, admitted: Admitted, rejected: Sequence[Rejected]) -> None:
    """Keep rows that could not be admitted, each with the whole body that it came in."""
    for one in rejected:
        await connection.execute(
            SQL["insert_dead_letter"],
            {
                **key.parameters(),
                "seq": one.seq,
                "sha256": admitted.sha256,
                "reason": one.reason,
                "body": admitted.body,
            },
        )


async def keep_conflicts(
    connection: Connection, key: LaneKey, admitted: Admitted, again: Sequence[Item]
) -> tuple[int, frozenset[int]]:
    """Compare what came again under a settled identity; how much of it had other content, and what of it is stored.

    Time of day may differ: the hub re-times what it stored before its clock was set. What is settled and not stored was
    told as a gap, or could not be admitted, and has come after all.
    """
    if not again:
        return 0, frozenset()
    parameters = {**key.parameters(), "seqs": [one.seq for one in again]}
    statement = AGAIN[type(again[0])]
    rows = await fetch_all(connection, SQL[statement], parameters)
    known = {row[0]: tuple(row[1:]) for row in rows}
    conflicts = [one for one in again if one.seq in known and known[one.seq] != _content(one)]
    for one in conflicts:
        body = Jsonb(to_map(one))
        parameters = {**key.parameters(), "seq": one.seq, "sha256": admitted.sha256, "body": body}
        await connection.execute(SQL["insert_conflict"], parameters)
    return len(conflicts), frozenset(known)


def _content(one: Item) -> tuple[object, ...]:
    """What makes an item the same; as the statements select it."""
    if isinstance(one, Reading):
        flag = one.range_flag and one.range_flag.value
        return (one.device_id, one.metric.value, one.value, flag, one.boot_id, one.monotonic_ms)
    if isinstance(one, Alarm):
        return (one.episode, one.condition, one.state.value, one.boot_id, one.monotonic_ms)
    if isinstance(one, Waveform):
        return (one.device_id, one.signal.value, list(one.samples), one.boot_id, one.monotonic_ms)
    return (one.kind, one.boot_id, one.monotonic_ms)
