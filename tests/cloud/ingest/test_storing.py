"""What a lane sends is stored once, with all that follows from it, in a real database."""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, OXIMETER, PATIENT, alarm, event, reading
from tests.support.wire_strategies import messages, reading_lists

import bedside_cloud.ingest
from bedside_cloud.contracts.readings import STORED_ALARM, STORED_EVENT, STORED_READINGS, STORED_WORD, StoredReadings
from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.admission import Admitted, Refused, admit
from bedside_cloud.ingest.aside import keep_refused
from bedside_cloud.ingest.assignments import NOBODY, Assignments
from bedside_cloud.ingest.attachment import attach
from bedside_cloud.ingest.lanes import LaneKey
from bedside_cloud.ingest.ranges import of_sequences
from bedside_cloud.ingest.store import Stored, store_batches
from bedside_profiles.readings import RangeFlag, Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.codec import decode_map, encode_map
from bedside_profiles.wire.events import PATIENT_SAYS_WELL, Event, Gap, GapReason
from bedside_profiles.wire.topics import UpLane, subject

STORE = "0123456789abcdef0123456789abcdef"
LANE = LaneKey(HUB, STORE, UpLane.READINGS)
ASSIGNED = Assignments(
    AssignmentSnapshot(version=1, assignments=(Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=0),))
)


class Ingest:
    """The store under test, and a look behind its back."""

    def __init__(self, database: Database, dsn: str) -> None:
        self.database = database
        self._dsn = dsn

    async def store(self, *batches: Batch, assignments: Assignments = ASSIGNED) -> Stored:
        admitted = [accepted(encode_batch(batch), batch.header.lane) for batch in batches]
        key = LaneKey(HUB, batches[0].header.store_id, batches[0].header.lane)
        async with self.database.transaction() as connection:
            (stored,) = await store_batches(connection, {key: admitted}, assignments)
        return stored

    def rows(self, table: str, order: str = "1") -> list[dict[str, Any]]:
        with psycopg.connect(self._dsn, row_factory=dict_row) as connection:
            return connection.execute(f"SELECT * FROM ingest.{table} ORDER BY {order}").fetchall()  # noqa: S608


def accepted(body: bytes, lane: UpLane = UpLane.READINGS) -> Admitted:
    decision = admit(subject(HUB, lane), body, NOON_MS)
    assert isinstance(decision, Admitted)
    return decision


def batch(*readings: Any, store_id: str = STORE, **more: Any) -> Batch:
    sequences = [one.seq for one in readings]
    return Batch(header_for(HUB, store_id, UpLane.READINGS, sequences), readings=readings, **more)


@pytest.fixture
async def ingest(database: TestDatabase) -> AsyncIterator[Ingest]:
    folder = Path(bedside_cloud.ingest.__file__).parent / "schema"
    async with Database.open(database.settings("ingest"), (folder,)) as opened:
        yield Ingest(opened, database.superuser_dsn)


async def test_readings_are_stored_with_their_patient_and_announced(ingest: Ingest) -> None:
    stored = await ingest.store(batch(reading(97.0, seq=1), reading(None, seq=2, range_flag=RangeFlag.BELOW)))
    assert stored.settled == ((1, 2),)
    rows = ingest.rows("readings", "seq")
    assert [(row["seq"], row["value"], row["range_flag"]) for row in rows] == [(1, 97.0, None), (2, None, "below")]
    assert {str(row["patient_id"]) for row in rows} == {PATIENT}
    (outbox,) = ingest.rows("outbox")
    assert outbox["subject"] == STORED_READINGS
    said = StoredReadings.model_validate_json(outbox["body"])
    assert [(one.seq, one.value) for one in said.readings] == [(1, 97.0), (2, None)]


async def test_a_repeat_is_stored_once_and_answered_the_same(ingest: Ingest) -> None:
    first = await ingest.store(batch(reading(seq=1), reading(seq=2)))
    again = await ingest.store(batch(reading(seq=2), reading(seq=3)), batch(reading(seq=3), reading(seq=4)))
    assert (first.settled, again.settled) == (((1, 2),), ((1, 4),))
    assert [row["seq"] for row in ingest.rows("readings", "seq")] == [1, 2, 3, 4]
    assert ingest.rows("conflicts") == []


async def test_a_lost_sequence_does_not_stall_the_others(ingest: Ingest) -> None:
    stored = await ingest.store(batch(reading(seq=1), reading(seq=3)))
    assert stored.settled == ((1, 1), (3, 3))


async def test_another_store_reuses_sequences_and_loses_nothing(ingest: Ingest) -> None:
    await ingest.store(batch(reading(90.0, seq=1)))
    await ingest.store(batch(reading(91.0, seq=1), store_id="f" * 32))
    assert [row["value"] for row in ingest.rows("readings", "value")] == [90.0, 91.0]


async def test_the_same_identity_with_other_content_is_kept_as_a_conflict(ingest: Ingest) -> None:
    await ingest.store(batch(reading(97.0, seq=1)))
    stored = await ingest.store(batch(reading(96.0, seq=1)))
    assert stored.conflicts == 1
    assert [row["value"] for row in ingest.rows("readings")] == [97.0]
    (conflict,) = ingest.rows("conflicts")
    assert conflict["body"]["value"] == 96.0


async def test_a_re_timed_repeat_is_no_conflict(ingest: Ingest) -> None:
    one = reading(97.0, seq=1)
    await ingest.store(batch(one))
    assert (await ingest.store(batch(replace(one, taken_at_ms=one.taken_at_ms + 5)))).conflicts == 0


async def test_a_bad_row_becomes_a_dead_letter_and_the_others_are_stored(ingest: Ingest) -> None:
    body = decode_map(encode_batch(batch(reading(seq=1), reading(seq=2), reading(seq=3))))
    body["columns"]["value"]["values"][1] = "ninety"  # type: ignore[index]
    bad = accepted(encode_map(body))
    async with ingest.database.transaction() as connection:
        (stored,) = await store_batches(connection, {LANE: [bad, bad]}, ASSIGNED)
    assert [row["seq"] for row in ingest.rows("readings", "seq")] == [1, 3]
    (letter,) = ingest.rows("dead_letters")
    assert (letter["seq"], letter["sha256"], letter["body"]) == (2, bad.sha256, bad.body)
    assert "not a finite number" in letter["reason"]
    assert stored.settled == ((1, 3),), "a dead letter is settled: the hub must not send it again"


async def test_a_reading_of_a_device_without_a_patient_is_stored_and_later_attached(ingest: Ingest) -> None:
    early, late = reading(seq=1, taken_at_ms=NOON_MS - 60_000), reading(seq=2, taken_at_ms=NOON_MS)
    stored = await ingest.store(batch(early, late), assignments=Assignments(NOBODY))
    assert stored.settled == ((1, 2),)
    assert [row["patient_id"] for row in ingest.rows("readings")] == [None, None]
    assert ingest.rows("outbox") == [], "nobody hears of a reading that belongs to nobody"
    assignment = Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=NOON_MS - 1)
    async with ingest.database.transaction() as connection:
        await attach(connection, AssignmentSnapshot(version=2, assignments=(assignment,)))
    assert [str(row["patient_id"]) for row in ingest.rows("readings", "seq")] == ["None", PATIENT]


async def test_alarms_and_events_are_stored_once_and_told_on(ingest: Ingest) -> None:
    one = Batch(header_for(HUB, STORE, UpLane.ALARMS, [1]), alarms=(alarm(seq=1),))
    two = Batch(header_for(HUB, STORE, UpLane.EVENTS, [1]), events=(event(seq=1),))
    for _ in range(2):
        await ingest.store(one)
        await ingest.store(two)
    assert [row["condition"] for row in ingest.rows("alarms")] == ["spo2_low"]
    assert [row["kind"] for row in ingest.rows("events")] == ["agent_started"]
    assert sorted(row["subject"] for row in ingest.rows("outbox")) == sorted([STORED_ALARM, STORED_EVENT])


async def test_the_patients_word_goes_to_alerting_behind_the_hubs_alarms(ingest: Ingest) -> None:
    header = header_for(HUB, STORE, UpLane.EVENTS, [1])
    await ingest.store(Batch(header, events=(event(seq=1, kind=PATIENT_SAYS_WELL),)))
    rows = {row["subject"]: row for row in ingest.rows("outbox")}
    assert set(rows) == {STORED_EVENT, STORED_WORD}
    assert rows[STORED_WORD]["body"] == rows[STORED_EVENT]["body"]
    assert rows[STORED_WORD]["ordering_key"] == f"{HUB}/alarms"


async def test_a_gap_settles_the_sequences_it_replaces(ingest: Ingest) -> None:
    header = header_for(HUB, STORE, UpLane.READINGS, [1, 10])
    stored = await ingest.store(Batch(header, readings=(reading(seq=1), reading(seq=10)), gaps=(gap(2, 9, 7),)))
    assert stored.settled == ((1, 10),)
    (row,) = ingest.rows("gaps")
    assert (row["first_seq"], row["last_seq"], row["items"], row["reason"]) == (2, 9, 7, "disk_full")


def gap(first: int, last: int, count: int | None = None) -> Gap:
    return Gap(first, last, last - first + 1 if count is None else count, GapReason.DISK_FULL, NOON_MS, NOON_MS)


async def test_a_gap_that_comes_again_inside_a_longer_one_is_counted_once(ingest: Ingest) -> None:
    for first, last in ((3, 4), (3, 4), (2, 9), (1, 9), (9, 12)):
        await ingest.store(Batch(header_for(HUB, STORE, UpLane.READINGS, [first, last]), gaps=(gap(first, last),)))
    rows = ingest.rows("gaps", "first_seq")
    assert [(row["first_seq"], row["last_seq"], row["items"]) for row in rows] == [
        (1, 1, 1),
        (2, 2, 1),
        (3, 4, 2),
        (5, 9, 5),
        (10, 12, 3),
    ]


async def test_of_what_a_hub_let_go_is_lost_what_the_cloud_has_not(ingest: Ingest) -> None:
    await ingest.store(batch(reading(seq=1), reading(seq=2), reading(seq=5)))
    header = header_for(HUB, STORE, UpLane.READINGS, [1, 12])
    let_go = Gap(1, 12, 12, GapReason.LET_GO)
    whole = Batch(header, readings=(reading(seq=7),), gaps=(let_go,))
    stored = await ingest.store(whole, whole)
    assert (stored.settled, stored.lost) == (((1, 12),), 8)
    rows = ingest.rows("gaps", "first_seq")
    assert [(row["first_seq"], row["last_seq"], row["items"]) for row in rows] == [(3, 4, 2), (6, 6, 1), (8, 12, 5)]
    assert {row["reason"] for row in rows} == {"let_go"}


async def test_what_is_stored_is_no_gap_whichever_comes_first(ingest: Ingest) -> None:
    header = header_for(HUB, STORE, UpLane.READINGS, [1, 12])
    await ingest.store(batch(reading(seq=3)))
    # In one transaction: a gap, and after it a batch with a reading of its middle.
    stored = await ingest.store(Batch(header, gaps=(gap(1, 10, 9),)), batch(reading(seq=5), reading(seq=12)))
    assert stored.settled == ((1, 10), (12, 12))
    assert sum(row["items"] for row in ingest.rows("gaps")) == 9 - 2
    assert [row["seq"] for row in ingest.rows("readings", "seq")] == [3, 5, 12]
    # What was on its way when its hub told the gap is stored after all, and not counted as lost any more.
    for _ in range(2):
        assert (await ingest.store(batch(reading(seq=7)))).conflicts == 0
    assert [row["seq"] for row in ingest.rows("readings", "seq")] == [3, 5, 7, 12]
    assert sum(row["items"] for row in ingest.rows("gaps")) == 9 - 3


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    said=st.lists(
        st.lists(
            st.one_of(
                st.integers(1, 40).map(lambda seq: reading(seq=seq)),
                st.tuples(st.integers(1, 40), st.integers(0, 12)).map(lambda one: gap(one[0], one[0] + one[1])),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=6,
    )
)
async def test_readings_and_counted_gaps_are_all_that_was_made(ingest: Ingest, said: list[list[Reading | Gap]]) -> None:
    store_id = uuid.uuid4().hex
    made: set[int] = set()
    for together in said:
        for item in together:
            made |= set(range(item.first_seq, item.last_seq + 1)) if isinstance(item, Gap) else {item.seq}
        await ingest.store(*(alone(store_id, item) for item in together))
    held = [row["seq"] for row in ingest.rows("readings") if row["store_id"] == store_id]
    gaps = [row for row in ingest.rows("gaps") if row["store_id"] == store_id]
    covered = [seq for row in gaps for seq in range(row["first_seq"], row["last_seq"] + 1)]
    assert len(covered) == len(set(covered))
    assert {*held, *covered} == made
    assert len(held) + sum(row["items"] for row in gaps) == len(made)


def alone(store_id: str, item: Reading | Gap) -> Batch:
    if isinstance(item, Gap):
        return Batch(header_for(HUB, store_id, UpLane.READINGS, [item.first_seq, item.last_seq]), gaps=(item,))
    return batch(item, store_id=store_id)


async def test_a_body_that_cannot_be_read_is_kept_whole_once(ingest: Ingest) -> None:
    body = b"\xc1" * 1000
    refused = admit(subject(HUB, UpLane.READINGS), body, NOON_MS)
    assert isinstance(refused, Refused)
    async with ingest.database.transaction() as connection:
        await keep_refused(connection, [refused, refused])
    (letter,) = ingest.rows("dead_letters")
    assert (letter["body"], letter["sha256"], letter["seq"]) == (body, hashlib.sha256(body).hexdigest(), None)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(rows=reading_lists())
async def test_all_readings_that_the_wire_admits_are_stored(ingest: Ingest, rows: tuple[Reading, ...]) -> None:
    store_id = uuid.uuid4().hex
    stored = await ingest.store(batch(*rows, store_id=store_id))
    assert stored.settled == of_sequences(one.seq for one in rows)
    again = await ingest.store(batch(*rows, store_id=store_id))
    assert (again.settled, again.conflicts, again.announcement) == (stored.settled, 0, None)
    held = [row for row in ingest.rows("readings", "seq") if row["store_id"] == store_id]
    assert [(row["seq"], row["value"], row["device_user"]) for row in held] == [
        (one.seq, one.value, one.device_user) for one in rows
    ]


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(said=messages(Alarm), happened=messages(Event), lost=messages(Gap))
async def test_all_alarms_events_and_gaps_that_the_wire_admits_are_stored(
    ingest: Ingest, said: Alarm, happened: Event, lost: Gap
) -> None:
    store_id = uuid.uuid4().hex
    lost = replace(lost, first_seq=1, last_seq=9, count=min(lost.count, 9))
    batches = (
        Batch(header_for(HUB, store_id, UpLane.ALARMS, [said.seq]), alarms=(said,)),
        Batch(header_for(HUB, store_id, UpLane.EVENTS, [happened.seq]), events=(happened,)),
        Batch(header_for(HUB, store_id, UpLane.READINGS, [1, 9]), gaps=(lost,)),
    )
    for _ in range(2):
        settled = [(await ingest.store(one)).settled for one in batches]
        assert settled == [((said.seq, said.seq),), ((happened.seq, happened.seq),), ((1, 9),)]


async def test_an_alarm_with_other_content_under_its_identity_is_a_conflict(ingest: Ingest) -> None:
    header = header_for(HUB, STORE, UpLane.ALARMS, [1])
    await ingest.store(Batch(header, alarms=(alarm(seq=1),)))
    assert (await ingest.store(Batch(header, alarms=(alarm(seq=1, at_ms=NOON_MS + 1),)))).conflicts == 0
    assert (await ingest.store(Batch(header, alarms=(alarm(seq=1, condition="spo2_gone"),)))).conflicts == 1
    assert [row["condition"] for row in ingest.rows("alarms")] == ["spo2_low"]


async def test_the_announcement_is_what_the_contract_says(ingest: Ingest) -> None:
    stored = await ingest.store(batch(reading(97.5, seq=1), reading(None, seq=2, range_flag=RangeFlag.ABOVE)))
    assert stored.announcement is not None
    said = StoredReadings.model_validate_json(stored.announcement)
    assert json.loads(said.model_dump_json()) == json.loads(stored.announcement)


async def test_several_lanes_in_one_transaction_are_told_apart(ingest: Ingest) -> None:
    one, two = batch(reading(seq=1)), batch(reading(seq=7), store_id="e" * 32)
    lanes = {LaneKey(HUB, each.header.store_id, UpLane.READINGS): [accepted(encode_batch(each))] for each in (one, two)}
    async with ingest.database.transaction() as connection:
        stored = await store_batches(connection, lanes, ASSIGNED)
    assert {outcome.key.store_id: outcome.settled for outcome in stored} == {STORE: ((1, 1),), "e" * 32: ((7, 7),)}


async def test_two_workers_on_one_lane_store_each_reading_once(ingest: Ingest) -> None:
    import asyncio

    batches = [
        batch(*(reading(float(seq % 100), seq=seq) for seq in range(first, first + 50))) for first in range(1, 300, 25)
    ]
    await asyncio.gather(*(ingest.store(one) for one in batches for _ in range(2)))
    sequences = [row["seq"] for row in ingest.rows("readings", "seq")]
    assert sequences == list(range(1, 326))
    (lane,) = ingest.rows("lanes")
    assert json.loads(json.dumps(str(lane["stored"]))) == "{[1, 326)}"


def test_a_header_that_names_another_hub_than_the_topic_is_refused() -> None:
    body = encode_batch(batch(reading(seq=1)))
    for topic in (subject("hub-0002", UpLane.READINGS), subject(HUB, UpLane.WAVEFORMS)):
        decision = admit(topic, body, NOON_MS)
        assert isinstance(decision, Refused)
        assert "another hub or lane" in decision.reason
