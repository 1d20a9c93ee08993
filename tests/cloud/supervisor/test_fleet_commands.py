"""`bedside-cloud fleet` and `audit` from the terminal, on a whole cloud."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.cloud import RunningCloud, bedside_cloud, running_cloud

from bedside_cloud.supervisor.state import State

pytestmark = pytest.mark.journey

AGENT = Path(sys.executable).with_name("bedside-agent")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    private = tmp_path_factory.mktemp("cloud")
    private.chmod(0o700)
    with running_cloud(private / "state") as running:
        yield running


def done(cloud: RunningCloud, *arguments: str) -> str:
    result = bedside_cloud(*arguments, state=cloud.state)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(cloud: RunningCloud, *arguments: str, code: int = 1) -> str:
    result = bedside_cloud(*arguments, state=cloud.state)
    assert (result.returncode, result.stdout) == (code, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def count(cloud: RunningCloud, what: str) -> int:
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        row = connection.execute(f"SELECT count(*) FROM {what}".encode()).fetchone()  # noqa: S608 - of this file
    assert row is not None
    return int(row[0])


def test_labels_for_a_box_of_hubs(cloud: RunningCloud, tmp_path: Path) -> None:
    sheet, before = tmp_path / "labels.pdf", count(cloud, "identity.claims")
    new = ("fleet", "claim", "new", "--hub-id", "ward", "--count", "12", "--first", "7", "--hours", "720")
    said = done(cloud, *new, "--pdf", str(sheet))
    assert said.startswith(f"{sheet}: 12 labels, good until ")
    assert sheet.read_bytes().startswith(b"%PDF-")
    assert sheet.stat().st_mode & 0o777 == 0o600
    assert count(cloud, "identity.claims") == before + 12
    assert "cannot be written" in refused(cloud, *new, "--pdf", str(sheet))
    assert count(cloud, "identity.claims") == before + 12, "no claim that nobody knows"
    tickets = json.loads(done(cloud, *new, "--json"))["claims"]
    assert [one["hub_id"] for one in tickets][:2] == ["ward-007", "ward-008"]
    assert "leave --serial out" in refused(cloud, *new, "--serial", "1000", code=2)


def test_a_hub_is_shown_with_all_that_is_known_of_it(cloud: RunningCloud, tmp_path: Path) -> None:
    assert "There is no hub hub-70" in refused(cloud, "fleet", "hub", "show", "hub-70")
    ticket = json.loads(done(cloud, "fleet", "claim", "new", "--hub-id", "hub-70", "--json"))
    enrolling = [AGENT, "init", "--claim", ticket["text"], "--state", str(tmp_path / "hub")]
    subprocess.run(enrolling, check=True, capture_output=True, timeout=60)
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        connection.execute(
            "INSERT INTO identity.incidents (hub_id, kind, first_at, last_at, times)"
            " VALUES ('hub-70', 'claim_used_again', now(), now(), 1)"
        )
    said = done(cloud, "fleet", "hub", "show", "hub-70")
    assert "active, since 20" in said
    assert "It has shown no device yet." in said
    assert "a claim that was used came again" in said
    sheet = json.loads(done(cloud, "fleet", "hub", "show", "hub-70", "--json"))
    assert (sheet["hub"]["hub_id"], sheet["access"]["access"], sheet["devices"]) == ("hub-70", "active", [])
    done(cloud, "fleet", "incident", "settle", str(sheet["incidents"][0]["incident_id"]))


def test_incidents_are_listed_and_settled(cloud: RunningCloud) -> None:
    assert "No incident is open." in done(cloud, "fleet", "incident", "list")
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        connection.execute(
            "INSERT INTO identity.incidents (hub_id, kind, first_at, last_at, times)"
            " VALUES ('hub-7', 'two_at_once', now(), now(), 3)"
        )
    said = done(cloud, "fleet", "incident", "list")
    assert "two computers speak as this hub" in said
    assert "revoke the hub" in said
    (one,) = json.loads(done(cloud, "fleet", "incident", "list", "--json"))["incidents"]
    assert (one["hub_id"], one["times"]) == ("hub-7", 3)
    assert "0 still open" in done(cloud, "fleet", "incident", "settle", str(one["incident_id"]))
    assert "No incident is open" in refused(cloud, "fleet", "incident", "settle", str(one["incident_id"]))


def test_what_was_done_is_told_and_is_whole(cloud: RunningCloud) -> None:
    done(cloud, "fleet", "claim", "new", "--hub-id", "hub-8")
    assert "claim_made" in done(cloud, "audit", "deeds", "--subject", "hub-8")
    (deed,) = json.loads(done(cloud, "audit", "deeds", "--subject", "hub-8", "--json"))["deeds"]
    assert (deed["actor"], deed["deed"]) == ("operator", "claim_made")
    head = json.loads(done(cloud, "audit", "verify", "--json"))
    assert head["deeds"] == count(cloud, "audit.deeds")
    assert "each follows from the last" in done(cloud, "audit", "verify", "--noted-deeds", head["deeds_head"])
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        connection.execute("ALTER TABLE audit.deeds DISABLE TRIGGER USER")
        connection.execute("UPDATE audit.deeds SET actor = 'nobody' WHERE entry_no = 1")
        connection.execute("ALTER TABLE audit.deeds ENABLE TRIGGER USER")
    assert "entry 1 was changed" in refused(cloud, "audit", "verify")


def test_the_issuing_authority_is_shown_and_not_changed_under_a_running_cloud(cloud: RunningCloud) -> None:
    found = json.loads(done(cloud, "authority", "show", "--json"))["authorities"]
    assert [one["part"] for one in found] == ["root", "issuing"]
    assert "issuing" in done(cloud, "authority", "show")
    assert "Another bedside-cloud is at work" in refused(cloud, "authority", "rotate")
    assert json.loads(done(cloud, "authority", "show", "--json"))["authorities"] == found
