"""A batch survives its round trip; one bad row is rejected by its sequence and delays no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tests.support.wire_strategies import messages, reading_lists

from bedside_profiles.errors import MalformedError, WireError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.batch import Batch, decode_batch, encode_batch, header_for
from bedside_profiles.wire.codec import decode_map, encode_map
from bedside_profiles.wire.columns import MAX_ROWS
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.schema import documents
from bedside_profiles.wire.topics import UpLane

STORE = "0" * 32


def batch_of(readings: tuple[Reading, ...]) -> Batch:
    header = header_for("hub-1", STORE, UpLane.READINGS, [one.seq for one in readings])
    return Batch(header, readings=readings)


def batch_map(rows: int = 3, /, **columns: Any) -> dict[str, Any]:
    """A batch of `rows` readings as a map, with some columns replaced."""
    plain: dict[str, Any] = {
        "seq": {"values": list(range(1, rows + 1))},
        "device_id": {"table": ["oximeter-1"], "index": [0] * rows},
        "metric": {"table": ["spo2"], "index": [0] * rows},
        "value": {"values": [97.0] * rows},
        "modality": {"values": ["continuous"] * rows},
        "taken_at_ms": {"values": [1_790_000_000_000] * rows},
        "boot_id": {"table": ["ab"], "index": [0] * rows},
        "monotonic_ms": {"values": [5] * rows},
        "clock_quality": {"table": ["synced"], "index": [0] * rows},
    }
    header = {"schema": 1, "hub_id": "hub-1", "store_id": STORE, "lane": "readings", "first_seq": 1, "last_seq": rows}
    return {**header, "columns": {**plain, **columns}}


@given(reading_lists())
def test_readings_survive_their_round_trip(readings: tuple[Reading, ...]) -> None:
    batch = batch_of(readings)
    body = encode_batch(batch)
    assert decode_batch(body) == batch
    Draft202012Validator(documents()["Batch.schema.json"]).validate(decode_map(body))


@given(messages(Alarm))
def test_alarms_survive_their_round_trip(alarm: Alarm) -> None:
    batch = Batch(header_for("hub-1", STORE, UpLane.ALARMS, [alarm.seq]), alarms=(alarm,))
    assert decode_batch(encode_batch(batch)) == batch


@given(messages(Event))
def test_events_survive_their_round_trip(event: Event) -> None:
    batch = Batch(header_for("hub-1", STORE, UpLane.EVENTS, [event.seq]), events=(event,))
    assert decode_batch(encode_batch(batch)) == batch


@given(reading_lists(), st.data())
def test_a_changed_byte_is_a_batch_or_a_typed_error(readings: tuple[Reading, ...], data: st.DataObject) -> None:
    body = bytearray(encode_batch(batch_of(readings)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_batch(bytes(body))
    except WireError:
        return
    for reading in decoded.readings:
        assert decoded.header.first_seq <= reading.seq <= decoded.header.last_seq


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("value", [97.0, float("nan"), 97.0]),
        ("value", [97.0, "97", 97.0]),
        ("value", [97.0, None, 97.0]),
        ("value", [97.0, 101.0, 97.0]),
        ("metric", ["spo2", "mood", "spo2"]),
        ("device_id", ["a", "a b", "a"]),
        ("device_id", ["a", "a\0", "a"]),
        ("taken_at_ms", [1, -1, 1]),
        ("taken_at_ms", [1, 2**63, 1]),
        ("monotonic_ms", [1, 1.5, 1]),
        ("quality", [[], ["unheard-of"], []]),
    ],
)
def test_one_bad_row_is_rejected_and_the_others_stay(column: str, values: list[object]) -> None:
    batch = decode_batch(encode_map(batch_map(3, **{column: {"values": values}})))
    assert [one.seq for one in batch.readings] == [1, 3]
    assert [one.seq for one in batch.rejected] == [2]
    assert column in batch.rejected[0].reason


def test_a_flag_and_a_value_together_are_rejected() -> None:
    batch = decode_batch(encode_map(batch_map(range_flag={"values": [None, "above", None]})))
    assert [one.seq for one in batch.rejected] == [2]


def test_an_index_outside_its_table_rejects_its_row() -> None:
    batch = decode_batch(encode_map(batch_map(metric={"table": ["spo2"], "index": [0, 7, -1]})))
    assert [one.seq for one in batch.rejected] == [2, 3]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"seq": {"values": [1, 1, 2]}}, "rise"),
        ({"seq": {"values": [3, 2, 1]}}, "rise"),
        ({"seq": {"values": []}}, "column of values"),
        ({"seq": {"values": ["1", "2", "3"]}}, "whole number"),
        ({"value": {"values": [97.0]}}, "length"),
        ({"metric": {"table": ["spo2"], "index": [0]}}, "length"),
        ({"metric": 5}, "not a column"),
        ({"seq": {"values": list(range(1, MAX_ROWS + 2))}}, "rows"),
    ],
)
def test_columns_in_which_no_row_can_be_named_are_refused_whole(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        decode_batch(encode_map(batch_map(**columns)))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"lane": "status"},
        {"lane": "alarms"},
        {"first_seq": 2},
        {"last_seq": 2},
        {"first_seq": 9, "last_seq": 3},
        {"store_id": "x" * 32},
        {"columns": None},
        {"gaps": [{"first_seq": 3, "last_seq": 2, "count": 1, "reason": "disk_full"}]},
        {"gaps": [{"first_seq": 2, "last_seq": 3, "count": 9, "reason": "disk_full"}]},
        {"alarms": "all"},
    ],
)
def test_a_batch_that_contradicts_itself_is_refused_whole(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        decode_batch(encode_map({**batch_map(), **change}))


def test_a_bad_alarm_is_rejected_by_its_sequence() -> None:
    header = {"schema": 1, "hub_id": "hub-1", "store_id": STORE, "lane": "alarms", "first_seq": 1, "last_seq": 2}
    batch = decode_batch(encode_map({**header, "alarms": [{"seq": 2, "condition": "NOT A NAME"}]}))
    assert [one.seq for one in batch.rejected] == [2]


def test_an_empty_batch_is_refused() -> None:
    body = {name: value for name, value in batch_map().items() if name != "columns"}
    with pytest.raises(MalformedError, match="empty"):
        decode_batch(encode_map(body))
