"""A trend from a real database: the newest readings, or the shape of a long time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, OXIMETER, PATIENT

import bedside_cloud.ingest
from bedside_cloud.contracts.readings import TrendAnswer, TrendPoint, TrendRequest
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.assignments import NOBODY
from bedside_cloud.ingest.endpoints import Endpoints
from bedside_profiles.readings import Metric, RangeFlag

SECONDS = 7200
DIP_AT = 3000
FLAGGED_AT = 5000


@pytest.fixture
async def two_hours(database: TestDatabase) -> AsyncIterator[Endpoints]:
    """A reading a second for two hours: 97 with a dip of one second to 70, and one second below what can be shown."""
    folder = Path(bedside_cloud.ingest.__file__).parent / "schema"
    async with Database.open(database.settings("ingest"), (folder,)) as opened:
        async with opened.transaction() as connection:
            await connection.execute(
                """
                INSERT INTO readings SELECT %(hub)s, 'store', second, %(device)s, %(patient)s, 'spo2',
                    CASE second WHEN %(dip)s THEN 70 WHEN %(flagged)s THEN NULL ELSE 97 END,
                    CASE second WHEN %(flagged)s THEN 'below' END, 'continuous', '{}',
                    to_timestamp(%(noon_ms)s / 1000.0 + second), 'boot', second * 1000, 'synced', NULL, NULL,
                    'assigned', NULL, now()
                FROM generate_series(0, %(last)s) AS second
                """,
                {
                    "hub": HUB,
                    "device": OXIMETER,
                    "patient": PATIENT,
                    "noon_ms": NOON_MS,
                    "dip": DIP_AT,
                    "flagged": FLAGGED_AT,
                    "last": SECONDS - 1,
                },
            )
        yield Endpoints(opened, lambda: NOBODY)


async def asked(endpoints: Endpoints, *, seconds: int = SECONDS, **changes: int) -> TrendAnswer:
    until_ms = NOON_MS + seconds * 1000
    return await endpoints.trend(
        TrendRequest(patient_id=PATIENT, metric=Metric.SPO2, from_ms=NOON_MS, until_ms=until_ms, **changes)
    )


def at(second: int, value: float | None, flag: RangeFlag | None = None) -> TrendPoint:
    return TrendPoint(taken_at_ms=NOON_MS + second * 1000, value=value, range_flag=flag)


async def test_of_too_many_the_newest_are_answered_in_order(two_hours: Endpoints) -> None:
    points = (await asked(two_hours, most=10)).points
    assert points == tuple(at(second, 97) for second in range(SECONDS - 10, SECONDS))


async def test_the_end_of_the_time_is_not_part_of_it(two_hours: Endpoints) -> None:
    assert (await asked(two_hours, seconds=2)).points == (at(0, 97), at(1, 97))


async def test_a_second_is_still_seen_in_the_shape_of_two_hours(two_hours: Endpoints) -> None:
    points = (await asked(two_hours, columns=100)).points
    assert len(points) <= 200
    assert at(DIP_AT, 70) in points
    assert at(FLAGGED_AT, None, RangeFlag.BELOW) in points
    assert list(points) == sorted(points, key=lambda point: point.taken_at_ms)


async def test_the_shape_of_few_readings_is_all_of_them(two_hours: Endpoints) -> None:
    assert (await asked(two_hours, seconds=5, columns=1000)).points == tuple(at(second, 97) for second in range(5))


async def test_a_time_without_readings_is_empty(two_hours: Endpoints) -> None:
    assert (await asked(two_hours, seconds=0, columns=10)).points == ()
