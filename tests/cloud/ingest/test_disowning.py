"""“That was not me”: the measurement leaves the patient's record, whichever comes first; a person's decision stands."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from tests.cloud.ingest.test_storing import ASSIGNED, STORE, Ingest, batch
from tests.support.database import TestDatabase
from tests.support.readings import HUB, PATIENT, event, reading

import bedside_cloud.ingest
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.attachment import attach
from bedside_profiles.readings import Metric, Modality, Reading
from bedside_profiles.wire.batch import Batch, header_for
from bedside_profiles.wire.events import NOT_MINE, Event, disowned_measurement, not_mine_fields
from bedside_profiles.wire.topics import UpLane

OTHER_STORE = "f" * 32


@pytest.fixture
async def ingest(database: TestDatabase) -> AsyncIterator[Ingest]:
    folder = Path(bedside_cloud.ingest.__file__).parent / "schema"
    async with Database.open(database.settings("ingest"), (folder,)) as opened:
        yield Ingest(opened, database.superuser_dsn)


def pressure(first: int) -> tuple[Reading, ...]:
    metrics = (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
    return tuple(
        [
            reading(80.0, seq=first + place, metric=metric, modality=Modality.SPOT, group=first)
            for place, metric in enumerate(metrics)
        ]
    )


def word(first_seq: int, store_id: str = STORE, seq: int = 1) -> Batch:
    said = event(seq=seq, kind=NOT_MINE, fields=not_mine_fields(store_id, first_seq))
    return Batch(header_for(HUB, STORE, UpLane.EVENTS, [seq]), events=(said,))


def owners(ingest: Ingest) -> dict[int, tuple[str | None, str | None]]:
    return {
        row["seq"]: (row["patient_id"] and str(row["patient_id"]), row["quarantine_reason"])
        for row in ingest.rows("readings", "seq")
    }


MINE, NOT = (PATIENT, None), (None, "disowned")


@pytest.mark.parametrize("word_first", [False, True])
async def test_a_whole_measurement_is_set_aside_and_no_other(ingest: Ingest, word_first: bool) -> None:
    readings = batch(*pressure(1), *pressure(4), reading(97.0, seq=7))
    for one in (word(4), readings) if word_first else (readings, word(4)):
        await ingest.store(one)
    assert owners(ingest) == {1: MINE, 2: MINE, 3: MINE, 4: NOT, 5: NOT, 6: NOT, 7: MINE}


async def test_a_measurement_of_one_reading(ingest: Ingest) -> None:
    await ingest.store(
        batch(reading(71.0, seq=1, metric=Metric.BODY_WEIGHT, modality=Modality.SPOT), reading(97.0, seq=2))
    )
    await ingest.store(word(1))
    assert owners(ingest) == {1: NOT, 2: MINE}


async def test_the_same_sequence_in_another_store_stays(ingest: Ingest) -> None:
    await ingest.store(batch(*pressure(1)))
    await ingest.store(word(1, OTHER_STORE))
    assert set(owners(ingest).values()) == {MINE}


async def test_said_twice_is_said_once(ingest: Ingest) -> None:
    await ingest.store(batch(*pressure(1)))
    for seq in (1, 2):
        await ingest.store(word(1, seq=seq))
    assert len(ingest.rows("disowned")) == 1
    assert set(owners(ingest).values()) == {NOT}


async def test_an_assignment_does_not_bring_it_back(ingest: Ingest) -> None:
    await ingest.store(batch(*pressure(1)))
    await ingest.store(word(1))
    async with ingest.database.transaction() as connection:
        await attach(connection, ASSIGNED.snapshot)
    assert set(owners(ingest).values()) == {NOT}


async def test_what_a_person_decided_stands(ingest: Ingest) -> None:
    await ingest.store(batch(*pressure(1)))
    await ingest.store(word(1))
    with psycopg.connect(ingest._dsn, autocommit=True) as connection:
        confirmed = "UPDATE ingest.readings SET patient_id = %s, attribution = 'confirmed', quarantine_reason = NULL"
        connection.execute(confirmed, (PATIENT,))
    await ingest.store(batch(reading(97.0, seq=9)))
    await ingest.store(word(1, seq=2))
    assert set(owners(ingest).values()) == {MINE}


@pytest.mark.parametrize(
    "fields",
    [
        (),
        not_mine_fields("short", 1),
        not_mine_fields(STORE, 0),
        not_mine_fields(STORE, -4),
        not_mine_fields(STORE, 10**30),
    ],
)
async def test_a_word_that_names_nothing_changes_nothing(ingest: Ingest, fields: tuple[object, ...]) -> None:
    await ingest.store(batch(*pressure(1)))
    said = event(seq=1, kind=NOT_MINE, fields=fields)
    assert disowned_measurement(said) is None
    await ingest.store(Batch(header_for(HUB, STORE, UpLane.EVENTS, [1]), events=(said,)))
    assert set(owners(ingest).values()) == {MINE}
    assert [row["kind"] for row in ingest.rows("events")] == [NOT_MINE], "it is kept all the same"


def test_an_event_of_another_kind_names_none_of_its_own() -> None:
    plain: Event = event(kind="device_added")
    assert disowned_measurement(plain) is None
