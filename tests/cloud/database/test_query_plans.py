"""The statements that run all the time find their rows by an index, on tables of a realistic size.

A plan is looked at, not a time: it does not depend on the machine.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase

import bedside_cloud
from bedside_cloud.database.pool import Database
from bedside_cloud.database.queries import Queries

HERE = Path(__file__).parent
ROOT = Path(bedside_cloud.__file__).parent
NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)
PATIENT = "00000000-0000-4000-8000-000000000007"
OTHER = "00000000-0000-4000-8000-000000000008"

LANES = {
    "hub_ids": ["hub-7", "hub-8"],
    "store_ids": ["0" * 32] * 2,
    "lanes": ["readings"] * 2,
    "stored": ["{[5,9]}"] * 2,
    "rejected": ["{}"] * 2,
}
SPAN = {"patient_id": PATIENT, "metric": "spo2", "from_at": NOON - timedelta(hours=4), "until_at": NOON}
CONDITION = {"patient_id": PATIENT, "condition": "condition_3", "device_id": "", "test": False, "at": NOON}
MEASUREMENT = {"hub_id": "hub-7", "store_id": "0" * 32, "first_seq": 107, "taken_at": None}

STATEMENTS: tuple[tuple[str, str, str, dict[str, Any], frozenset[str]], ...] = (
    ("ingest", "ingest/queries.sql", "lock_lanes", LANES, frozenset()),
    ("ingest", "ingest/queries.sql", "extend_lanes", LANES, frozenset()),
    ("ingest", "ingest/queries.sql", "lanes_of_hub", {"hub_id": "hub-7"}, frozenset()),
    (
        "ingest",
        "ingest/queries.sql",
        "readings_again",
        {"hub_id": "hub-7", "store_id": "0" * 32, "seqs": [7, 107]},
        frozenset(),
    ),
    (
        "ingest",
        "ingest/queries.sql",
        "latest_readings",
        {"patient_ids": [PATIENT, OTHER], "metrics": ["spo2", "pulse_rate"]},
        frozenset(),
    ),
    ("ingest", "ingest/queries.sql", "trend", {**SPAN, "most": 5000}, frozenset()),
    ("ingest", "ingest/queries.sql", "trend_extremes", {**SPAN, "from_ms": NOON_MS, "column_ms": 1000.0}, frozenset()),
    (
        "ingest",
        "ingest/queries.sql",
        "attach_readings",
        {
            "device_ids": ["device-97", "device-98"],
            "patient_ids": [PATIENT, OTHER],
            "users": ['{"",0,1}', "{2}"],
            "from_at": [NOON - timedelta(minutes=5)] * 2,
            "until_at": [NOON, None],
        },
        frozenset(),
    ),
    (
        "ingest",
        "ingest/queries.sql",
        "doubt_readings",
        {
            "device_ids": ["device-97", "device-98"],
            "users": ['{"",0,1}', "{2}"],
            "from_at": [NOON - timedelta(minutes=5)] * 2,
            "until_at": [NOON, None],
            "user_missing": "user_missing",
            "user_unknown": "user_unknown",
        },
        frozenset(),
    ),
    ("ingest", "ingest/queries.sql", "quarantine", {"device_id": None, "most": 200}, frozenset()),
    ("ingest", "ingest/queries.sql", "confirm_measurement", {**MEASUREMENT, "patient_id": PATIENT}, frozenset()),
    ("ingest", "ingest/queries.sql", "dismiss_measurement", MEASUREMENT, frozenset()),
    ("ingest", "ingest/queries.sql", "unassigned", {}, frozenset()),
    (
        "ingest",
        "database/outbox.sql",
        "lease",
        {"lease_seconds": 10, "most": 64, "most_ordinary": 48},
        frozenset(),
    ),
    ("ingest", "database/outbox.sql", "settle", {"outbox_ids": [1, 2, 3]}, frozenset()),
    ("alerting", "alerting/queries.sql", "active_alert", CONDITION, frozenset()),
    ("alerting", "alerting/queries.sql", "alert_around", CONDITION, frozenset()),
    ("alerting", "alerting/queries.sql", "alert_by_id", {"alert_id": PATIENT}, frozenset()),
    (
        "alerting",
        "alerting/queries.sql",
        "alerts_of_patients",
        {"patient_ids": [PATIENT, OTHER], "since": NOON - timedelta(days=1)},
        frozenset(),
    ),
    ("alerting", "alerting/queries.sql", "rule_states", {"patient_id": PATIENT}, frozenset()),
    ("alerting", "alerting/queries.sql", "due_patients", {"now": NOON - timedelta(days=1)}, frozenset()),
    # Every patient is asked about, so the patients themselves are read one after the other.
    ("registry", "registry/queries.sql", "plans_snapshot", {}, frozenset({"patients"})),
    ("registry", "registry/queries.sql", "newest_plan_of_hub", {"hub_id": "hub-7"}, frozenset()),
    # A thousand short rows lie on a few pages, which are read faster than ten rows are looked up.
    ("registry", "registry/queries.sql", "patients_of_person", {"person_id": PATIENT}, frozenset({"patients"})),
    ("registry", "registry/queries.sql", "placement_of_hub", {"hub_id": "hub-7"}, frozenset()),
    ("registry", "registry/queries.sql", "unanswered_plans", {}, frozenset({"hubs"})),
)
"""Service, file, name, parameters, and the tables that are rightly read whole."""

IDS = [f"{statement[0]}-{statement[2]}" for statement in STATEMENTS]


@pytest.fixture(scope="module")
def filled() -> dict[str, TestDatabase]:
    """Filled once for all statements."""
    return {}


@pytest.fixture
async def database_of(filled: dict[str, TestDatabase], database: TestDatabase, service: str) -> TestDatabase:
    """The service's filled database."""
    if service not in filled:
        await _fill(database, service)
        filled[service] = database
    return filled[service]


async def _fill(database: TestDatabase, service: str) -> None:
    async with Database.open(database.settings(service), (ROOT / service / "schema",)):
        pass
    with psycopg.connect(database.superuser_dsn, options=f"-c search_path={service}") as connection:
        connection.execute(
            "CREATE FUNCTION uuid_of(integer) RETURNS uuid IMMUTABLE LANGUAGE sql"
            " RETURN ('00000000-0000-4000-8000-' || lpad($1::text, 12, '0'))::uuid"
        )
        noon = f"CREATE FUNCTION noon() RETURNS timestamptz IMMUTABLE LANGUAGE sql RETURN '{NOON}'::timestamptz"
        connection.execute(noon.encode())
        connection.execute((HERE / "fill" / f"{service}.sql").read_bytes())
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize(
    ("service", "file", "name", "parameters", "read_whole"),
    STATEMENTS,
    ids=IDS,
)
async def test_it_is_found_by_an_index(
    database_of: TestDatabase, service: str, file: str, name: str, parameters: Any, read_whole: frozenset[str]
) -> None:
    statement = b"EXPLAIN (FORMAT JSON) " + Queries(ROOT / file)[name]
    with psycopg.connect(database_of.superuser_dsn, options=f"-c search_path={service}") as connection:
        row = connection.execute(statement, parameters).fetchone()
        connection.rollback()
    assert row is not None
    found = list(nodes(row[0][0]["Plan"]))
    scanned = {node["Relation Name"] for node in found if node["Node Type"] in ("Seq Scan", "Parallel Seq Scan")}
    assert scanned - read_whole == set(), json.dumps(row[0], indent=1)
    assert any("Index" in node["Node Type"] for node in found)
