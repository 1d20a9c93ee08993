"""`bedside-cloud up` as a process: everything comes up, comes back, and goes."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.cloud import RunningCloud, bedside_cloud, running_cloud

from bedside_cloud.engines.processes import working_in
from bedside_cloud.engines.reachable import accepts_connections
from bedside_cloud.supervisor.state import State

pytestmark = pytest.mark.journey

NAMES = ("broker", "postgres", "identity-1", "identity-2", "registry", "ingest", "alerting", "gateway")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    private = tmp_path_factory.mktemp("cloud")
    private.chmod(0o700)
    with running_cloud(private / "state") as running:
        yield running


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_everything_is_up_and_no_secret_is_for_others(cloud: RunningCloud) -> None:
    rows = cloud.status()["processes"]
    assert {row["name"] for row in rows} == set(NAMES)
    assert {row["phase"] for row in rows} == {"running"}
    assert cloud.state.stat().st_mode & 0o777 == 0o700
    assert (cloud.state / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o077 for path in (cloud.state / "bus").iterdir()} == {0}


def test_no_secret_is_an_argument_or_in_a_log_or_the_status(cloud: RunningCloud) -> None:
    secrets = json.loads((cloud.state / "secrets.json").read_text())
    pids = [row["pid"] for row in cloud.status()["processes"]]
    places = {f"arguments of {pid}": Path(f"/proc/{pid}/cmdline").read_text() for pid in pids}
    places |= {file.name: file.read_text() for file in (cloud.state / "logs").iterdir()}
    places |= {name: (cloud.state / name).read_text() for name in ("status.json", "cloud.json")}
    places["the terminal"] = cloud.log_file.read_text()
    found = [(name, place) for name, text in secrets.items() for place, held in places.items() if text in held]
    assert found == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_killed_comes_back(cloud: RunningCloud, name: str) -> None:
    cloud.kill(name)
    assert bedside_cloud("fleet", "claim", "new", "--hub-id", "hub-1", state=cloud.state).returncode == 0


def test_the_audit_log_is_checked_from_the_terminal(cloud: RunningCloud) -> None:
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        connection.execute(
            "INSERT INTO audit.reads (person_id, patient_id, what)"
            " SELECT gen_random_uuid(), gen_random_uuid(), 'trend' FROM generate_series(1, 3)"
        )
    result = bedside_cloud("audit", "verify", "--json", state=cloud.state)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["entries"] == 3
    assert bedside_cloud("audit", "verify", "--noted", answer["head"], state=cloud.state).returncode == 0
    with psycopg.connect(State.open(cloud.state).postgres.dsn()) as connection:
        connection.execute("ALTER TABLE audit.reads DISABLE TRIGGER USER")
        connection.execute("UPDATE audit.reads SET what = 'name' WHERE entry_no = 2")
        connection.execute("ALTER TABLE audit.reads ENABLE TRIGGER USER")
    result = bedside_cloud("audit", "verify", state=cloud.state)
    assert result.returncode == 1
    assert "entry 2 was changed" in result.stderr
    assert "cannot be read" in bedside_cloud("audit", "verify", "--noted", "x", state=cloud.state).stderr


def test_a_second_up_and_a_restore_are_refused_in_sentences(cloud: RunningCloud, tmp_path: Path) -> None:
    file = tmp_path / "some.bedside"
    file.write_bytes(b"")
    for arguments in (("up", "--headless"), ("restore", str(file))):
        result = bedside_cloud(*arguments, state=cloud.state)
        assert result.returncode == 1
        assert "Another bedside-cloud is at work" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_tech_sets_up_a_patient_from_the_terminal(cloud: RunningCloud, tmp_path: Path) -> None:
    def done(*arguments: str, stdin: str = "") -> str:
        result = bedside_cloud(*arguments, state=cloud.state, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    ticket = json.loads(done("fleet", "claim", "new", "--hub-id", "hub-7", "--json"))
    assert ticket["text"].startswith("bedside:1?est=https://127.0.0.1:")
    assert "added" in done("person", "add", "nurse.one", "--role", "nurse", "--password-stdin", stdin="a password\n")
    assert "changed" in done("person", "add", "nurse.one", "--role", "nurse", "--password-stdin", stdin="a password\n")
    done("patient", "add", "Test Person", "--birth-date", "1950-12-31", "--mrn", "4711")
    for step in (
        ("patient", "hub", "4711", "hub-7"),
        ("patient", "team", "4711", "nurse.one"),
        ("patient", "episode", "4711", "active"),
        ("assign", "oximeter-1", "4711"),
        ("plan", "set", "4711", "--template", "adult", "--emergency-number", "112"),
    ):
        assert "already" not in done(*step)
        assert "already" in done(*step)
    (patient,) = json.loads(done("patient", "list", "--json"))["patients"]
    assert (patient["hub_id"], patient["device_ids"], patient["episode_state"]) == ("hub-7", ["oximeter-1"], "active")
    assert "hub-7" in done("fleet", "hub", "list")
    rules = done("plan", "template", "adult")
    assert len(json.loads(rules)) == 8
    shown = done("patient", "show", "4711")
    assert "Test Person, born 1950-12-31, record 4711" in shown
    assert "not answered yet" in shown
    file = json.loads(done("patient", "show", "4711", "--json"))
    assert [(one["device_id"], one["until_ms"]) for one in file["devices"]] == [("oximeter-1", None)]
    in_force = done("plan", "show", "4711")
    assert json.loads(in_force)["rules"] == json.loads(rules)
    (tmp_path / "rules.json").write_text(in_force)
    set_again = ("plan", "set", "4711", "--rules", str(tmp_path / "rules.json"), "--emergency-number", "112")
    assert "already" in done(*set_again), "what is shown can be given back"
    covered = done(*set_again, "--cover", "mon-fri 08:00-18:00")
    assert "already" not in covered
    assert "somebody looks: mon 08:00-18:00, tue 08:00-18:00" in done("patient", "show", "4711")
    wrong = bedside_cloud(*set_again, "--cover", "by day", state=cloud.state)
    assert (wrong.returncode, "is not like" in wrong.stderr) == (2, True)
    versions = [one["version"] for one in json.loads(done("plan", "list", "4711", "--json"))["plans"]]
    assert versions == sorted(versions, reverse=True)


def test_wrong_commands_end_in_sentences(cloud: RunningCloud) -> None:
    for arguments, words in (
        (("patient", "episode", "nobody", "active"), "no such patient"),
        (("fleet", "claim", "new", "--hub-id", "HUB"), "a-z"),
        (("fleet", "hub", "revoke", "hub-9", "--confirm", "hub-9"), "No such hub"),
        (("run", "nosuch"), "There is no service"),
    ):
        result = bedside_cloud(*arguments, state=cloud.state)
        assert result.returncode == 1
        assert words in result.stderr
        assert "Traceback" not in result.stderr


def test_a_second_start_has_the_same_ports_and_keys_and_a_stop_leaves_nothing(tmp_path: Path) -> None:
    seen = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with running_cloud(tmp_path / "state") as running:
            pids = [row["pid"] for row in running.status()["processes"]]
            state = State.open(running.state)
            seen.append((state.place, (running.state / "secrets.json").read_bytes(), state.certificates.root()))
            assert running.stop(number) == 0
        assert not [pid for pid in pids if alive(pid)]
        assert not (running.state / "status.json").exists()
    assert seen[0] == seen[1]


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "state") as running:
        pids = [row["pid"] for row in running.status()["processes"]]
        state = State.open(running.state)
        running.process.kill()
        running.process.wait()
        deadline = time.monotonic() + 20
        while [pid for pid in pids if alive(pid)] or working_in(state.postgres.data):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not accepts_connections("127.0.0.1", state.place.ports.hubs)
    with running_cloud(tmp_path / "state") as again:
        assert again.status()["ready"]


def test_a_restored_backup_is_another_generation_of_what_was(tmp_path: Path) -> None:
    state_directory, file = tmp_path / "state", tmp_path / "backup.bedside"

    def patients_and_generation(directory: Path) -> tuple[list[str], str]:
        with psycopg.connect(State.open(directory).postgres.dsn()) as connection:
            names = [row[0] for row in connection.execute("SELECT mrn FROM registry.patients ORDER BY mrn")]
            row = connection.execute("SELECT generation::text FROM platform.generation").fetchone()
        assert row is not None
        return names, row[0]

    def add(mrn: str) -> None:
        arguments = ("patient", "add", "Test Person", "--birth-date", "1950-12-31", "--mrn", mrn)
        assert bedside_cloud(*arguments, state=state_directory).returncode == 0

    with running_cloud(state_directory):
        add("1")
        result = bedside_cloud("backup", str(file), state=state_directory)
        assert result.returncode == 0, result.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        add("2")
        before = patients_and_generation(state_directory)
        assert before[0] == ["1", "2"]
    for directory in (state_directory, tmp_path / "elsewhere"):
        result = bedside_cloud("restore", str(file), state=directory)
        assert result.returncode == 0, result.stderr
        with running_cloud(directory):
            names, generation = patients_and_generation(directory)
            assert names == ["1"]
            assert generation != before[1]
            assert generation in result.stdout
            more = ("patient", "add", "Test Person", "--birth-date", "1950-12-31", "--mrn", "3")
            assert bedside_cloud(*more, state=directory).returncode == 0
    assert State.open(state_directory).certificates.root() == State.open(tmp_path / "elsewhere").certificates.root()
