"""`bedside-agent buffer …`, as a technician types it, beside a running store and without one."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
import sqlite_utils
from tests.support.clock import BOOT, NOON_MS
from tests.support.readings import OXIMETER, alarm, event, reading

from bedside_agent.buffer import salvage
from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.key_file import FILE
from bedside_agent.buffer.records import since_ms
from bedside_agent.buffer.sqlite_file import PAGE_BYTES
from bedside_agent.cli import main
from bedside_profiles.wire.events import Gap, GapReason
from bedside_profiles.wire.topics import UpLane

STORE = "5" * 32
PATIENTS = ("97.3", OXIMETER, "spo2", BOOT)


class Typed:
    """Exit code and what was printed."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._state = state
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        argv = ["bedside-agent", "buffer", *words, "--state", str(self._state)]
        self._monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "buffer.db"
    database = Database(path, STORE)
    for first in (1, 41, 81):
        rows = [reading(97.3, seq=seq, taken_at_ms=NOON_MS + seq * 60_000) for seq in range(first, first + 40)]
        database.commit(Group(readings=[*rows]))
    database.commit(Group(alarms=[alarm(seq=1)], events=[event(seq=1)], state={"alarms.plan": b"plan"}))
    database.commit(Group(settled={(database.store_number, UpLane.READINGS): ((1, 50),)}))
    (middle,) = database.stretch(1, UpLane.READINGS, 41, 1)
    gap = Gap(41, 80, 40, GapReason.DISK_FULL, NOON_MS, NOON_MS)
    database.replace(1, STORE, UpLane.READINGS, [middle], [gap], {})
    database.close()
    return path


@pytest.fixture
def typed(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "240")
    return Typed(path.parent, monkeypatch, capsys)


def break_the_seal(path: Path, seq: int) -> None:
    """Through SQLite, so that the file's structure stays whole."""
    database = sqlite_utils.Database(path)
    database.execute("UPDATE readings SET payload = zeroblob(length(payload)) WHERE item % 1099511627776 = ?", [seq])
    database.conn.commit()
    database.close()


@pytest.mark.parametrize("running", [False, True])
def test_stats_count_each_lane_and_show_no_value(typed: Typed, path: Path, running: bool) -> None:
    database = Database(path, "6" * 32) if running else None
    code, out, _ = typed("stats", "--json")
    assert code == 0
    found = json.loads(out)
    readings = found["lanes"]["readings"]
    assert (readings["stored"], readings["gaps"], readings["gap_items"]) == (80, 1, 40)
    assert readings["waiting"] == 70
    assert readings["oldest_ms"] == NOON_MS + 60_000
    assert found["lanes"]["alarms"]["waiting"] == found["lanes"]["events"]["stored"] == 1
    assert found["rows_by_key"] == {"1": 5}
    assert found["healthy"]
    code, text, _ = typed("stats")
    assert code == 0
    assert "Healthy" in text
    assert not any(one in out + text for one in PATIENTS)
    if database is not None:
        database.close()


def test_show_decodes_the_newest_first(typed: Typed) -> None:
    found = json.loads(typed("show", "-n", "3", "--lane", "readings", "--json")[1])
    assert [one["last_seq"] for one in found] == [120, 119, 118]
    assert {(one["value"], one["unit"]) for one in found} == {(97.3, "%")}
    text = typed("show", "-n", "2")[1]
    assert all(one in text for one in ("spo2_low high raised", "agent_started", f"{OXIMETER} spo2 97.3 %"))
    assert "gap of 40 disk_full" in typed("show", "-n", "80", "--lane", "readings")[1]


def test_what_a_person_reads_fits_a_terminal_of_80_columns(typed: Typed) -> None:
    for command in ("stats", "show"):
        lines = typed(command)[1].splitlines()
        assert max(map(len, lines)) <= 80
        assert "…" not in "".join(lines)


def test_export_writes_all_of_it_oldest_first(typed: Typed, tmp_path: Path) -> None:
    code, out, _ = typed("export", "--format", "jsonl")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    mine = [one for one in records if one["lane"] == "readings"]
    assert [one["first_seq"] for one in mine] == [*range(1, 42), *range(81, 121)]
    assert mine[40] | {"details": None} == mine[40] | {"what": "gap", "value": 40, "last_seq": 80, "details": None}
    assert {one["lane"] for one in records} == {"alarms", "readings", "events"}
    target = tmp_path / "out.csv"
    code, out, _ = typed("export", "--lane", "readings", "--since", "2026-09-21T15:33", "--output", str(target))
    assert (code, out) == (0, "")
    assert target.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert 0 < len(rows) < 80
    assert all(row["at_utc"] >= "2026-09-21T15:33" for row in rows)
    assert typed("export", "--output", str(target))[0] == 1, "nothing is written over"


def test_since_takes_a_moment_or_how_long_ago() -> None:
    assert since_ms("90m", 10_000_000) == 10_000_000 - 5_400_000
    assert since_ms("1970-01-02", 0) == since_ms("1970-01-02T01:00+01:00", 0) == 86_400_000
    with pytest.raises(ValueError, match="is no time"):
        since_ms("yesterday", 0)


def test_verify_finds_nothing_in_a_whole_store(typed: Typed) -> None:
    code, out, _ = typed("verify")
    assert (code, out) == (0, "Every page and every seal is whole.\n")


def test_verify_names_rows_whose_seal_is_broken(typed: Typed, path: Path) -> None:
    break_the_seal(path, 81)
    code, out, _ = typed("verify")
    assert code == 1
    assert "rows of readings that begin at 81 of store 55555555" in out
    assert "replace the card" in out
    assert not salvage.suspect(path).exists(), "a damaged row is sent as a gap: the file itself is whole"
    assert not json.loads(typed("stats", "--json")[1])["healthy"]


def test_verify_marks_a_broken_file_and_the_next_start_puts_it_aside(typed: Typed, path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2 * PAGE_BYTES)  # The index of the stores' ids.
        file.write(b"\xff" * 64)
    code, out, _ = typed("verify", "--json")
    assert code == 1
    assert json.loads(out)["marked"]
    database = Database(path, "7" * 32)
    assert database.damage is not None
    while database.rescue.is_needed:
        database.rescue.step()
    assert database.rescue.rows == 5
    database.close()
    assert typed("verify")[0] == 0


def test_verify_says_which_key_is_missing(typed: Typed, path: Path) -> None:
    assert json.loads(typed("rotate-key", "--json")[1]) == {"key": 2}
    keys = path.with_name(FILE).read_text().splitlines()
    path.with_name(FILE).write_text(keys[1] + "\n")
    code, out, _ = typed("verify")
    assert code == 1
    assert "were sealed by key 1, which is not here" in out


def test_a_rotated_key_seals_from_the_next_start_on(typed: Typed, path: Path) -> None:
    assert "Key 2 is made" in typed("rotate-key")[1]
    database = Database(path, "8" * 32)
    database.commit(Group(readings=[reading(seq=1)]))
    database.close()
    found = json.loads(typed("stats", "--json")[1])
    assert (found["newest_key"], found["rows_by_key"]) == (2, {"1": 5, "2": 1})
    assert typed("verify")[0] == 0


def test_the_help_says_where_values_of_the_patient_leave(typed: Typed) -> None:
    for command in ("show", "export"):
        assert "VALUES OF THE PATIENT" in typed(command, "--help")[1]
    for command in ("stats", "verify"):
        assert "No values." in typed(command, "--help")[1]


def test_sqlite_utils_opens_the_file_and_finds_sealed_rows(path: Path) -> None:
    database = sqlite_utils.Database(path)
    lanes = {"readings", "alarms", "events", "waveforms"}
    assert set(database.table_names()) == {"stores", *lanes, "settled", "marks", "state"}
    assert [row["store_id"] for row in database["stores"].rows] == [STORE]
    assert database["readings"].count == 3
    assert not any(b"spo2" in row["payload"] for row in database["readings"].rows)
    database.close()
