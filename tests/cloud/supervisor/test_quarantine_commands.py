"""`bedside-cloud quarantine` and shared devices from the terminal, on a whole cloud."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.support.clock import NOON_MS
from tests.support.cloud import RunningCloud, bedside_cloud, running_cloud

from bedside_cloud.supervisor.state import State

pytestmark = pytest.mark.journey

STORE = "0123456789abcdef0123456789abcdef"
FIRST, SECOND = f"hub-7/{STORE[:8]}/1", f"hub-7/{STORE}/4"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    private = tmp_path_factory.mktemp("cloud")
    private.chmod(0o700)
    with running_cloud(private / "state") as running:
        yield running


def rows(cloud: RunningCloud, statement: str) -> list[Any]:
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        return connection.execute(statement.encode()).fetchall()


def done(cloud: RunningCloud, *arguments: str, stdin: str = "") -> str:
    result = bedside_cloud(*arguments, state=cloud.state, stdin=stdin)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(cloud: RunningCloud, *arguments: str) -> str:
    result = bedside_cloud(*arguments, state=cloud.state)
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def put_aside(cloud: RunningCloud) -> None:
    """Two measurements of three readings, as ingest keeps what a hub has marked."""
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        connection.execute("INSERT INTO ingest.lanes VALUES ('hub-7', %s, 'readings', '{[1,7)}', '{}')", (STORE,))
        connection.execute(
            "INSERT INTO ingest.readings SELECT 'hub-7', %s, seq, 'cuff-1', NULL,"
            " (ARRAY['systolic_pressure', 'diastolic_pressure', 'pulse_rate'])[1 + (seq - 1) %% 3], 77, NULL, 'spot',"
            " '{}', to_timestamp(%s), 'boot', 1, 'synced', NULL, 2, 'quarantined', seq - (seq - 1) %% 3, now(), NULL,"
            " 'user_unknown' FROM generate_series(1, 6) AS seq",
            (STORE, NOON_MS / 1000),
        )


def test_a_tech_decides_on_what_is_in_quarantine(cloud: RunningCloud) -> None:
    assert "Nothing is in quarantine" in done(cloud, "quarantine", "list")
    for name, role in (("nurse.one", "nurse"), ("family.one", "family")):
        done(cloud, "person", "add", name, "--role", role, "--password-stdin", stdin="a password\n")
    done(cloud, "patient", "add", "Test Person", "--birth-date", "1950-12-31", "--mrn", "4711")
    put_aside(cloud)
    table = done(cloud, "quarantine", "list", "--device", "cuff-1")
    assert FIRST in table
    assert "systolic_pressure, diastolic_pressure, pulse_rate" in table
    assert "its slot is nobody's" in table
    assert "77" not in table, "no value is shown"
    listed = json.loads(done(cloud, "quarantine", "list", "--json"))["measurements"]
    assert {(one["first_seq"], one["user"], one["reason"]) for one in listed} == {
        (1, 2, "user_unknown"),
        (4, 2, "user_unknown"),
    }
    assert json.loads(done(cloud, "quarantine", "list", "--device", "other", "--json"))["measurements"] == []

    by_nurse = ("--by", "nurse.one")
    assert "nobody's measurements" in refused(cloud, "quarantine", "confirm", FIRST, "4711", "--by", "family.one")
    assert "no such person" in refused(cloud, "quarantine", "dismiss", FIRST, "--by", "somebody")
    assert "no such patient" in refused(cloud, "quarantine", "confirm", FIRST, "9999", *by_nurse)
    assert "quarantine list" in refused(cloud, "quarantine", "dismiss", "the first one", *by_nurse)
    assert "no such measurement" in refused(cloud, "quarantine", "dismiss", f"hub-7/{STORE}/2", *by_nurse)
    assert bedside_cloud("quarantine", "confirm", FIRST, "4711", state=cloud.state).returncode == 2

    assert "3 readings are the patient's now" in done(cloud, "quarantine", "confirm", FIRST, "4711", *by_nurse)
    assert json.loads(done(cloud, "quarantine", "dismiss", SECOND, *by_nurse, "--json")) == {"readings": 3}
    assert "no such measurement" in refused(cloud, "quarantine", "confirm", FIRST, "4711", *by_nurse)
    assert "Nothing is in quarantine" in done(cloud, "quarantine", "list")
    owned = "SELECT attribution, count(*), count(patient_id) FROM ingest.readings GROUP BY 1 ORDER BY 1"
    assert rows(cloud, owned) == [("confirmed", 3, 3), ("dismissed", 3, 0)]
    (nurse,) = [
        one["person_id"]
        for one in json.loads(done(cloud, "person", "list", "--json"))["people"]
        if one["name"] == "nurse.one"
    ]
    decided = "SELECT decision, first_seq, person_id::text FROM ingest.quarantine_decisions ORDER BY decision_id"
    assert rows(cloud, decided) == [("confirmed", 1, nurse), ("dismissed", 4, nurse)]


def test_two_people_are_given_one_cuff_from_the_terminal(cloud: RunningCloud) -> None:
    for number in ("1", "2", "3"):
        done(cloud, "patient", "add", f"Test Person {number}", "--birth-date", "1950-12-31", "--mrn", number)
    assert "slot 1" in done(cloud, "assign", "cuff-2", "1", "--user", "1")
    assert "slot 2" in done(cloud, "assign", "cuff-2", "2", "--user", "2")
    assert "another patient's" in refused(cloud, "assign", "cuff-2", "3")
    assert "Release it first" in refused(cloud, "assign", "cuff-2", "2", "--user", "3")
    assert bedside_cloud("assign", "cuff-2", "3", "--user", "-1", state=cloud.state).returncode == 2
    devices = json.loads(done(cloud, "fleet", "device", "list", "--json"))["devices"]
    assert [one["user"] for one in devices if one["device_id"] == "cuff-2"] == [1, 2]
    assert "slot" in done(cloud, "fleet", "device", "list")
    assert "several people" in refused(cloud, "release", "cuff-2")
    assert "the patient no more" in done(cloud, "release", "cuff-2", "--patient", "2")
    assert "measures nobody" in done(cloud, "release", "cuff-2")
