"""The batch envelope of the sequenced lanes: alarms, readings, waveforms, events.

One batch holds items of one lane of one store. Readings travel as columns, alarms, events and waveforms as rows
(they are few), and gap records in the lane whose items they replace.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.codec import decode_map, encode_map
from bedside_profiles.wire.columns import MAX_ROWS, read_columns, write_columns
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.fields import decoder, from_map, to_map
from bedside_profiles.wire.kinds import SCHEMA_VERSION, HubId, Schema, Seq, StoreId, Traceparent
from bedside_profiles.wire.receipt import Rejected
from bedside_profiles.wire.topics import SEQUENCED, UpLane
from bedside_profiles.wire.waveform import Waveform

Row = TypeVar("Row", Alarm, Event, Gap, Waveform)


@dataclass(frozen=True, slots=True)
class Header:
    """Who sent which part of which store. `first_seq` and `last_seq` enclose every item and every gap."""

    schema: Schema
    hub_id: HubId
    store_id: StoreId
    lane: UpLane
    first_seq: Seq
    last_seq: Seq
    traceparent: Traceparent | None = None

    def __post_init__(self) -> None:
        if self.lane not in SEQUENCED:
            raise ValueError(f"the lane {self.lane.value} carries no batches")
        if self.first_seq > self.last_seq:
            raise ValueError("first_seq is above last_seq")


@dataclass(frozen=True, slots=True)
class Batch:
    """A decoded batch: what can be admitted, and what cannot with its reason."""

    header: Header
    readings: tuple[Reading, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    events: tuple[Event, ...] = ()
    gaps: tuple[Gap, ...] = ()
    rejected: tuple[Rejected, ...] = field(default=())
    waveforms: tuple[Waveform, ...] = ()


def encode_batch(batch: Batch) -> bytes:
    """The body of a batch; ValueError if it is larger than the wire allows (send it as two)."""
    body = to_map(batch.header)
    if batch.readings:
        body["columns"] = write_columns(batch.readings)
    rows_of = {"alarms": batch.alarms, "events": batch.events, "waveforms": batch.waveforms, "gaps": batch.gaps}
    for name, rows in rows_of.items():
        if rows:
            body[name] = [to_map(row) for row in rows]
    return encode_map(body)


def decode_batch(body: bytes) -> Batch:
    """The batch in `body`. A WireError means that nothing in it can be named; else bad rows are in `rejected`."""
    value = decode_map(body)
    header = from_map(Header, value)
    readings: tuple[Reading, ...] = ()
    rejected: list[Rejected] = []
    if "columns" in value:
        readings, bad_rows = read_columns(value["columns"])
        rejected.extend(bad_rows)
    alarms = _rows(value, "alarms", Alarm, rejected, lambda row: row.get("seq"))
    events = _rows(value, "events", Event, rejected, lambda row: row.get("seq"))
    waveforms = _rows(value, "waveforms", Waveform, rejected, lambda row: row.get("seq"))
    gaps = _rows(value, "gaps", Gap, rejected, lambda row: row.get("first_seq"))
    batch = Batch(header, readings, alarms, events, gaps, tuple(rejected), waveforms)
    _check_lane(batch)
    _check_range(batch)
    return batch


def header_for(hub_id: str, store_id: str, lane: UpLane, sequences: Sequence[int]) -> Header:
    """The header of a batch that holds `sequences` (rising, at least one)."""
    return Header(SCHEMA_VERSION, hub_id, store_id, lane, sequences[0], sequences[-1])


_SEQ = decoder(Seq)


def _rows(
    value: Mapping[str, object],
    name: str,
    kind: type[Row],
    rejected: list[Rejected],
    sequence_of: Callable[[Mapping[str, Any]], object],
) -> tuple[Row, ...]:
    """Rows of one kind; a bad one is rejected by its sequence, and MalformedError if it has none."""
    rows = value.get(name, [])
    if not isinstance(rows, list) or len(rows) > MAX_ROWS:
        raise MalformedError(name, f"is not an array of at most {MAX_ROWS}")
    good: list[Row] = []
    for place, row in enumerate(rows):
        try:
            good.append(from_map(kind, row, f"{name}[{place}]"))
        except MalformedError as wrong:
            if not isinstance(row, Mapping):
                raise
            rejected.append(Rejected(_SEQ(sequence_of(row), f"{name}[{place}].seq"), str(wrong)[:1000]))
    return tuple(good)


def _check_lane(batch: Batch) -> None:
    present = {
        UpLane.READINGS: bool(batch.readings),
        UpLane.ALARMS: bool(batch.alarms),
        UpLane.EVENTS: bool(batch.events),
        UpLane.WAVEFORMS: bool(batch.waveforms),
    }
    for lane, here in present.items():
        if here and lane is not batch.header.lane:
            raise MalformedError("lane", f"{lane.value} do not travel on {batch.header.lane.value}")


def _check_range(batch: Batch) -> None:
    header = batch.header
    sequences = [item.seq for item in batch.rejected]
    sequences += [item.seq for item in batch.readings]
    sequences += [item.seq for item in batch.alarms]
    sequences += [item.seq for item in batch.events]
    sequences += [item.seq for item in batch.waveforms]
    for gap in batch.gaps:
        if gap.first_seq > gap.last_seq or gap.count > gap.last_seq - gap.first_seq + 1:
            raise MalformedError("gaps", "a gap's count does not fit its range")
        sequences += [gap.first_seq, gap.last_seq]
    if not sequences:
        raise MalformedError("message", "the batch is empty")
    if min(sequences) < header.first_seq or max(sequences) > header.last_seq:
        raise MalformedError("first_seq", "an item lies outside the batch's range")
