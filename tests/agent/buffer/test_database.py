"""The file: plans of its queries, what it refuses, and what a commit leaves."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.support.readings import alarm, event, reading

from bedside_agent.buffer.contents import LANES, Damaged, Group, Mark
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.inspection import peek
from bedside_agent.buffer.queries import migrations, queries
from bedside_agent.errors import NewerStoreError, StoreBusyError, StoreError, StoreWriteError
from bedside_profiles.wire.topics import UpLane

STORE = "0" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "buffer.db"


def test_no_hot_query_scans_a_table(path: Path) -> None:
    Database(path, STORE).close()
    with sqlite3.connect(path) as connection:
        names = {name for sql in queries().values() for name in re.findall(r":([a-z_]+)", sql)}
        values = dict.fromkeys(names, 1)
        for name, sql in queries().items():
            if name in {"stores", "all_state", "clear_all_settled", "mark_all_settled", "hub_time"} or name.startswith(
                "count_"
            ):
                continue  # Read once at opening, or meant to touch everything.
            arguments = (1, b"")[: sql.count("?")] if "?" in sql else values
            plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", arguments))
            assert "SCAN" not in plan, name
            assert "TEMP B-TREE" not in plan, name
    connection.close()


def test_the_file_is_written_through_and_private(path: Path) -> None:
    database = Database(path, STORE)
    pragma = {name: database.file.execute(f"PRAGMA {name}")[0][0] for name in PRAGMAS}
    database.close()
    assert pragma == PRAGMAS
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "user_version": migrations()[-1][0]}


def test_a_newer_store_is_refused_and_left_alone(path: Path) -> None:
    Database(path, STORE).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerStoreError, match="schema 999"):
        Database(path, "1" * 32)
    assert path.read_bytes() == before


@pytest.mark.parametrize("marked", [False, True])
def test_a_newer_store_whose_agent_was_killed_keeps_every_byte(tmp_path: Path, path: Path, marked: bool) -> None:
    """Its log is not yet in the file, or it was marked as damaged: both are the newer agent's to see to."""
    newer = Database(path, STORE)
    newer.file.execute("PRAGMA user_version = 999")
    newer.commit(Group(readings=[reading(seq=1)]))
    killed = tmp_path / "killed"
    killed.mkdir()
    for one in path.parent.iterdir():
        if not one.name.endswith(("-shm", ".lock")):
            shutil.copy(one, killed)
    newer.close()
    if marked:
        (killed / "buffer.db.suspect").touch()
    before = contents(killed)
    assert {"buffer.db", "buffer.db-wal", "buffer.db.reserve"} < set(before)
    for _ in range(2):
        with pytest.raises(NewerStoreError, match="schema 999"):
            Database(killed / "buffer.db", "1" * 32)
        assert contents(killed) == before


def contents(directory: Path) -> dict[str, bytes]:
    """Every file's bytes, but for SQLite's index of the log, which it makes anew, and the lock."""
    files = (one for one in directory.iterdir() if not one.name.endswith(("-shm", ".lock")))
    return {one.name: one.read_bytes() for one in files}


def test_a_second_agent_is_refused(path: Path) -> None:
    first = Database(path, STORE)
    with pytest.raises(StoreBusyError):
        Database(path, "1" * 32)
    first.close()
    Database(path, "1" * 32).close()


def test_what_was_committed_is_there_after_reopening_under_its_old_store(path: Path) -> None:
    first = Database(path, STORE)
    rows = [reading(value, seq=seq) for seq, value in ((1, 97.0), (2, 96.5))]
    first.commit(Group(readings=[*rows], alarms=[alarm(seq=1)], events=[event(seq=1)], state={"a": b"1"}))
    first.commit(Group(settled={(first.store_number, UpLane.READINGS): ((1, 1),)}, marks={UpLane.READINGS: Mark(2, 5)}))
    first.close()
    second = Database(path, "1" * 32)
    kept = {(one.store_id, one.lane): one for one in second.kept()}
    old = kept[STORE, UpLane.READINGS]
    assert (old.first, old.last, old.settled, old.marks) == (1, 2, ((1, 1),), (Mark(2, 5),))
    assert second.fetch(old.number, UpLane.READINGS, 1, 9, 10) == tuple(rows)
    assert second.fetch(old.number, UpLane.ALARMS, 1, 9, 10) == (alarm(seq=1),)
    assert second.fetch(old.number, UpLane.EVENTS, 1, 9, 10) == (event(seq=1),)
    assert second.state() == {"a": b"1"}
    assert second.hub_ms == 5
    assert {kept["1" * 32, lane].last for lane in LANES} == {0}
    second.close()


def test_a_group_is_written_whole_or_not_at_all(path: Path) -> None:
    database = Database(path, STORE)
    database.commit(Group(readings=[reading(seq=1)]))
    with pytest.raises(StoreWriteError):
        database.commit(Group(state={"a": b"1"}, readings=[reading(seq=2, device_id="other"), reading(seq=1)]))
    assert database.state() == {}
    assert len(database.fetch(1, UpLane.READINGS, 1, 9, 10)) == 1
    database.commit(Group(readings=[reading(seq=2, device_id="other")]))
    (second,) = database.fetch(1, UpLane.READINGS, 2, 9, 10)
    assert second == reading(seq=2, device_id="other")
    database.close()


def test_a_damaged_row_is_named_and_hides_no_other(path: Path) -> None:
    database = Database(path, STORE)
    for seq in (1, 2, 3):
        database.commit(Group(readings=[reading(seq=seq)]))
    database.file.execute("UPDATE readings SET payload = x'01ff' WHERE item % 8 = 2")
    found = database.fetch(1, UpLane.READINGS, 1, 9, 10)
    assert found == (reading(seq=1), Damaged(2), reading(seq=3))
    database.close()


def test_counting_beside_a_running_agent(path: Path) -> None:
    with pytest.raises(StoreError, match="no buffer yet"):
        peek(path)
    database = Database(path, STORE)
    database.commit(Group(readings=[reading(seq=1), reading(seq=2)], alarms=[alarm(seq=1)]))
    assert peek(path) == {"alarms": 1, "readings": 2, "events": 0, "waveforms": 0}
    database.close()
