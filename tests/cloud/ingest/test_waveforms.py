"""Waveforms are stored once, and shown only as the patient's whom the device measured then."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, PATIENT, STRAP, waveform

import bedside_cloud.ingest
from bedside_cloud.contracts.readings import WaveformsAnswer, WaveformsRequest
from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot, Retirement
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.admission import Admitted, admit
from bedside_cloud.ingest.assignments import NOBODY, Assignments
from bedside_cloud.ingest.endpoints import Endpoints
from bedside_cloud.ingest.lanes import LaneKey
from bedside_cloud.ingest.store import Stored, store_batches
from bedside_profiles.readings import Attribution, ClockQuality
from bedside_profiles.waveforms import Signal
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.events import Gap, GapReason
from bedside_profiles.wire.topics import UpLane, subject
from bedside_profiles.wire.waveform import Waveform

STORE = "0123456789abcdef0123456789abcdef"
OTHER = "99999999-9999-4999-8999-999999999999"


class Ingest:
    """The store under test, what it answers, and a look behind its back."""

    def __init__(self, database: Database, dsn: str) -> None:
        self.assignments: AssignmentSnapshot = NOBODY
        self._database = database
        self._dsn = dsn
        self._endpoints = Endpoints(database, lambda: self.assignments)

    async def store(self, *pieces: Waveform, gaps: tuple[Gap, ...] = (), last: int = 1) -> Stored:
        sequences = [one.seq for one in pieces] or [1, last]
        batch = Batch(header_for(HUB, STORE, UpLane.WAVEFORMS, sequences), waveforms=pieces, gaps=gaps)
        admitted = admit(subject(HUB, UpLane.WAVEFORMS), encode_batch(batch), NOON_MS)
        assert isinstance(admitted, Admitted)
        async with self._database.transaction() as connection:
            key = LaneKey(HUB, STORE, UpLane.WAVEFORMS)
            (stored,) = await store_batches(connection, {key: [admitted]}, Assignments(self.assignments))
        return stored

    async def asked(self, patient_id: str = PATIENT, **changes: int) -> WaveformsAnswer:
        times = {"from_ms": NOON_MS - 60_000, "until_ms": NOON_MS + 60_000, **changes}
        return await self._endpoints.waveforms(WaveformsRequest(patient_id=patient_id, signal=Signal.ECG, **times))

    def rows(self, table: str) -> list[dict[str, Any]]:
        with psycopg.connect(self._dsn, row_factory=dict_row) as connection:
            return connection.execute(f"SELECT * FROM ingest.{table} ORDER BY 1").fetchall()  # noqa: S608


@pytest.fixture
async def ingest(database: TestDatabase) -> AsyncIterator[Ingest]:
    folder = Path(bedside_cloud.ingest.__file__).parent / "schema"
    async with Database.open(database.settings("ingest"), (folder,)) as opened:
        yield Ingest(opened, database.superuser_dsn)


def assigned(*assignments: Assignment) -> AssignmentSnapshot:
    return AssignmentSnapshot(version=1, assignments=assignments)


async def test_a_piece_is_stored_as_it_was_said_and_a_repeat_changes_nothing(ingest: Ingest) -> None:
    piece = waveform(seq=1, device_time="2019-01-01T00:00:00.000")
    for _ in range(2):
        stored = await ingest.store(piece)
        assert (stored.settled, stored.conflicts) == (((1, 1),), 0)
    (row,) = ingest.rows("waveforms")
    assert (row["device_id"], row["signal"], row["rate_hz"], row["samples"]) == (STRAP, "ecg", 130.0, [*piece.samples])
    assert (row["device_time"], row["attribution"]) == ("2019-01-01T00:00:00.000", "assigned")


async def test_the_same_identity_with_other_samples_is_kept_as_a_conflict(ingest: Ingest) -> None:
    await ingest.store(waveform(seq=1))
    assert (await ingest.store(waveform(seq=1, samples=(1, 2)))).conflicts == 1
    (row,) = ingest.rows("waveforms")
    assert row["samples"] == list(waveform().samples)
    (kept,) = ingest.rows("conflicts")
    assert kept["body"]["samples"] == [1, 2]


async def test_what_the_hub_had_to_drop_is_counted(ingest: Ingest) -> None:
    stored = await ingest.store(gaps=(Gap(1, 40, 40, GapReason.DISK_FULL),), last=40)
    assert (stored.settled, stored.lost) == (((1, 40),), 40)


async def test_a_time_that_cannot_be_is_moved_to_when_it_was_heard(ingest: Ingest) -> None:
    await ingest.store(waveform(seq=1, taken_at_ms=NOON_MS + 3_600_000, clock_quality=ClockQuality.UNSYNCED))
    ingest.assignments = assigned(Assignment(device_id=STRAP, patient_id=PATIENT, from_ms=0))
    (piece,) = (await ingest.asked()).pieces
    assert piece.taken_at_ms == NOON_MS


async def test_it_is_nobodys_until_the_device_is_assigned(ingest: Ingest) -> None:
    await ingest.store(waveform(seq=1))
    assert (await ingest.asked()).pieces == ()
    ingest.assignments = assigned(Assignment(device_id=STRAP, patient_id=PATIENT, from_ms=0))
    (piece,) = (await ingest.asked()).pieces
    assert (piece.device_id, piece.samples, piece.taken_at_ms) == (STRAP, waveform().samples, NOON_MS)


async def test_each_patient_sees_the_time_in_which_the_strap_was_theirs(ingest: Ingest) -> None:
    ingest.assignments = assigned(
        Assignment(device_id=STRAP, patient_id=PATIENT, from_ms=0, until_ms=NOON_MS),
        Assignment(device_id=STRAP, patient_id=OTHER, from_ms=NOON_MS),
    )
    await ingest.store(waveform(seq=1, taken_at_ms=NOON_MS - 1), waveform(seq=2, samples=(5, 6)))
    assert [piece.samples for piece in (await ingest.asked()).pieces] == [waveform().samples]
    assert [piece.samples for piece in (await ingest.asked(OTHER)).pieces] == [(5, 6)]


async def test_what_was_taken_in_a_test_is_shown_to_nobody(ingest: Ingest) -> None:
    ingest.assignments = assigned(Assignment(device_id=STRAP, patient_id=PATIENT, from_ms=0))
    await ingest.store(waveform(seq=1, attribution=Attribution.QUARANTINED))
    assert (await ingest.asked()).pieces == ()


async def test_what_a_hub_heard_out_of_service_is_shown_to_nobody(ingest: Ingest) -> None:
    ingest.assignments = AssignmentSnapshot(
        version=1,
        assignments=(Assignment(device_id=STRAP, patient_id=PATIENT, from_ms=0),),
        retirements=(Retirement(hub_id=HUB, from_ms=NOON_MS - 1000, until_ms=NOON_MS),),
    )
    times = (NOON_MS - 1001, NOON_MS - 1000, NOON_MS - 1, NOON_MS)
    await ingest.store(*[waveform(seq=seq, taken_at_ms=at) for seq, at in enumerate(times, start=1)])
    assert [piece.taken_at_ms for piece in (await ingest.asked()).pieces] == [NOON_MS - 1001, NOON_MS]


async def test_of_too_many_the_newest_come_in_order(ingest: Ingest) -> None:
    ingest.assignments = assigned(Assignment(device_id=STRAP, patient_id=PATIENT, from_ms=0))
    await ingest.store(*[waveform(seq=seq, taken_at_ms=NOON_MS - 1000 * (10 - seq)) for seq in range(1, 10)])
    answer = await ingest.asked(most=3)
    assert [piece.taken_at_ms for piece in answer.pieces] == [NOON_MS - 3000, NOON_MS - 2000, NOON_MS - 1000]
    assert len((await ingest.asked(until_ms=NOON_MS - 5000)).pieces) == 4
