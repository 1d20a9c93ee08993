"""What is in quarantine is nobody's: not when it comes, not when its device is assigned, not when it comes again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cloud.ingest.test_storing import ASSIGNED, Ingest, batch
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import OXIMETER, PATIENT, reading

import bedside_cloud.ingest
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import LatestRequest, StoredReadings, TrendRequest
from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.assignments import NOBODY, Assignments
from bedside_cloud.ingest.attachment import attach
from bedside_cloud.ingest.endpoints import Endpoints
from bedside_profiles.readings import Attribution, Metric, Reading

IN_QUARANTINE = Attribution.QUARANTINED


@pytest.fixture
async def ingest(database: TestDatabase) -> AsyncIterator[Ingest]:
    folder = Path(bedside_cloud.ingest.__file__).parent / "schema"
    async with Database.open(database.settings("ingest"), (folder,)) as opened:
        yield Ingest(opened, database.superuser_dsn)


def quarantined(value: float, seq: int) -> Reading:
    return reading(value, seq=seq, attribution=IN_QUARANTINE)


def owners(ingest: Ingest) -> list[str | None]:
    rows = ingest.rows("readings", "store_id, seq")
    return [None if row["patient_id"] is None else str(row["patient_id"]) for row in rows]


async def attached(ingest: Ingest, *assignments: Assignment) -> None:
    async with ingest.database.transaction() as connection:
        await attach(connection, AssignmentSnapshot(version=2, assignments=assignments))


async def test_a_quarantined_reading_is_stored_and_is_nobodys(ingest: Ingest) -> None:
    stored = await ingest.store(batch(quarantined(80.0, 1), reading(97.0, seq=2), quarantined(81.0, 3)))
    assert stored.settled == ((1, 3),), "it is kept like any other"
    assert owners(ingest) == [None, PATIENT, None]
    (outbox,) = ingest.rows("outbox")
    said = StoredReadings.model_validate_json(outbox["body"])
    assert [one.seq for one in said.readings] == [2], "no rule and no screen hears of it"
    endpoints = Endpoints(ingest.database)
    latest = await endpoints.latest(LatestRequest(patient_ids=(PATIENT,)))
    assert [one.value for one in latest.readings] == [97.0]
    asked = TrendRequest(patient_id=PATIENT, metric=Metric.SPO2, from_ms=0, until_ms=NOON_MS + 1)
    for request in (asked, asked.model_copy(update={"columns": 10})):
        assert {point.value for point in (await endpoints.trend(request)).points} == {97.0}


async def test_a_batch_of_quarantined_readings_alone_is_announced_to_nobody(ingest: Ingest) -> None:
    stored = await ingest.store(batch(quarantined(80.0, 1)))
    assert (stored.settled, stored.announcement, ingest.rows("outbox")) == (((1, 1),), None, [])


async def test_an_assignment_that_comes_later_does_not_take_it_out(ingest: Ingest) -> None:
    await ingest.store(batch(quarantined(80.0, 1), reading(97.0, seq=2)), assignments=Assignments(NOBODY))
    await attached(ingest, Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=0))
    assert owners(ingest) == [None, PATIENT]
    assert (await Endpoints(ingest.database).unassigned(Empty())).devices == (), "nobody waits for an assignment"


async def test_it_stays_in_quarantine_when_its_hub_sends_it_again(ingest: Ingest) -> None:
    for store_id in ("a" * 32, "b" * 32):
        for _ in range(2):
            await ingest.store(batch(quarantined(80.0, 1), store_id=store_id), assignments=ASSIGNED)
    await attached(ingest, Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=0))
    assert owners(ingest) == [None, None]
