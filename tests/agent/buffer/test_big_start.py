"""A start takes as long for a week of backlog as for an empty store, damaged or not: counted in bytes."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.big_store import BORN, build_big_store
from tests.support.clock import ManualClock
from tests.support.readings import alarm, reading

from bedside_agent.buffer import salvage, sqlite_file
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import STORE_STEP, Damaged, Group
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.ranges import count, normalise, subtract
from bedside_agent.buffer.rescue import FIRST_NUMBER, STEP_PAGES
from bedside_agent.buffer.sqlite_file import PAGE_BYTES
from bedside_agent.buffer.store import Store
from bedside_agent.errors import DamagedStoreError, StoreWriteError
from bedside_profiles.wire.topics import UpLane

READINGS = 200_000
CHECKED_PAGES = 256
"""The test's store is small beside a real one: so is the part that is checked whole."""

MOST_START_BYTES = 1_200 * PAGE_BYTES
STATE = {f"name.{place}": bytes([place]) * 400 for place in range(12)} | {"alarms.plan": b"p" * 9000}
"""More than one page holds: some of these stand on an inner page."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("big") / "state"
    build_big_store(directory / "buffer.db", READINGS, at_once=5_000)
    database = Database(directory / "buffer.db", "c" * 32)
    database.commit(Group(alarms=[alarm(seq=1)], state=dict(STATE)))
    database.close()
    return directory


@pytest.fixture
def path(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sqlite_file, "CHECKED_PAGES", CHECKED_PAGES)
    shutil.copytree(built, tmp_path / "state")
    return tmp_path / "state" / "buffer.db"


@contextmanager
def bytes_read() -> Iterator[Callable[[], int]]:
    """What this process reads meanwhile, from the disk or the page cache, as the kernel counts it."""

    def now() -> int:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
        return int(dict(line.split(": ") for line in lines)["rchar"])

    before = now()
    yield lambda: now() - before


def destroy_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(PAGE_BYTES))


def damage_the_middle(path: Path) -> int:
    """Make a page in the middle unreadable to SQLite: where no check at the start looks."""
    page = path.stat().st_size // PAGE_BYTES // 2
    with path.open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(bytes(range(256)) * (PAGE_BYTES // 256))
    return page


def everything(database: Database, store_id: str) -> list[int]:
    (number,) = {one.number for one in database.kept() if one.store_id == store_id}
    rows = database.fetch(number, UpLane.READINGS, 1, STORE_STEP - 1, READINGS * 2)
    return [span(one)[0] for one in rows if not isinstance(one, Damaged)]


def test_a_healthy_start_reads_a_part_that_does_not_grow(path: Path) -> None:
    assert path.stat().st_size > 3 * MOST_START_BYTES // 2
    with bytes_read() as read:
        database = Database(path, "d" * 32)
        database.kept()
        assert read() < MOST_START_BYTES
    assert database.damage is None
    database.close()


def test_a_damaged_start_reads_a_part_that_does_not_grow_and_knows_what_is_needed_at_once(path: Path) -> None:
    destroy_header(path)
    with bytes_read() as read:
        database = Database(path, "d" * 32)
        database.kept()
        assert read() < MOST_START_BYTES
    assert database.damage is not None
    assert database.state() == STATE
    assert database.store_number == FIRST_NUMBER
    database.close()


async def test_the_hub_works_while_the_oldest_are_saved_and_sent(path: Path) -> None:
    destroy_header(path)
    store = await Store.open(path, ManualClock(), commit_window_ms=1)
    sent = asyncio.Event()
    store.committed = sent.set
    await store.append_alarm(alarm())[1]
    while not any(one.store_id == BORN for one in store.shelves()):
        sent.clear()
        await sent.wait()
    assert store._database.rescue.is_needed
    old = next(one for one in store.shelves() if (one.store_id, one.lane) == (BORN, UpLane.READINGS))
    assert store.shelves().index(old) < [one.lane for one in store.shelves()].index(UpLane.EVENTS)
    waits = count(old.waiting())
    assert 0 < waits < READINGS
    assert len(await store.fetch(old, old.waiting()[0], 10)) == 10
    await store.append_readings([reading()])[1]
    await store.salvaged()
    assert store.waiting()[UpLane.READINGS] == READINGS + 1
    await store.close()
    assert not salvage.waiting(path)


@pytest.mark.parametrize("seed", range(4))
def test_a_salvage_cut_short_goes_on_and_saves_each_reading_once(path: Path, tmp_path: Path, seed: int) -> None:
    destroy_header(path)
    chance = random.Random(seed)
    database = Database(path, "d" * 32)
    for _ in range(chance.randint(0, 30)):
        database.rescue.step()
    after_cut = tmp_path / "after"
    shutil.copytree(path.parent, after_cut)
    database.close()
    again = Database(after_cut / path.name, "e" * 32)
    assert again.damage is None
    assert again.state() == STATE | {name: value for name, value in again.state().items() if name.startswith("buffer.")}
    while again.rescue.is_needed:
        again.rescue.step()
    assert everything(again, BORN) == list(range(1, READINGS + 1))
    again.close()


def test_the_next_start_goes_on_where_the_last_one_was(path: Path, tmp_path: Path) -> None:
    destroy_header(path)
    whole = tmp_path / "whole"
    shutil.copytree(path.parent, whole)
    all_steps = steps_to_the_end(Database(whole / path.name, "d" * 32))
    database = Database(path, "d" * 32)
    for _ in range(10):
        database.rescue.step()
    database.close()
    assert steps_to_the_end(Database(path, "e" * 32)) == all_steps - 10


def steps_to_the_end(database: Database) -> int:
    steps = 0
    while database.rescue.is_needed:
        database.rescue.step()
        steps += 1
    database.close()
    return steps


def test_a_step_reads_so_many_pages_and_no_more(path: Path) -> None:
    destroy_header(path)
    database = Database(path, "d" * 32)
    database.rescue.step()
    before = database.rescue.pages_read
    with bytes_read() as read:
        database.rescue.step()
        assert read() < 4 * STEP_PAGES * PAGE_BYTES
    assert database.rescue.pages_read - before <= STEP_PAGES
    database.close()


def test_old_rows_keep_their_number_below_the_new_ones(path: Path) -> None:
    destroy_header(path)
    database = Database(path, "d" * 32)
    saved = [one for _ in range(3) for one in database.rescue.step() if one.lane is UpLane.READINGS]
    assert {(one.number, one.store_id) for one in saved} == {(1, BORN)}
    database.close()


def test_a_log_whose_file_was_not_yet_put_aside_is_salvaged_for_itself(path: Path) -> None:
    database = Database(path, "d" * 32)
    database.commit(Group(readings=[reading(seq=seq) for seq in range(1, 31)]))
    copy = path.parent / "copy"
    copy.mkdir()
    shutil.copy(path.with_name("buffer.db-wal"), copy)
    database.close()
    shutil.copy(copy / "buffer.db-wal", path.with_name("buffer.db.damaged.1-wal"))
    path.unlink()
    again = Database(path, "e" * 32)
    while again.rescue.is_needed:
        again.rescue.step()
    assert everything(again, "d" * 32) == list(range(1, 31))
    again.close()


def test_damage_that_is_met_while_the_hub_runs_is_put_aside_by_the_next_start(path: Path) -> None:
    damage_the_middle(path)
    database = Database(path, "d" * 32)
    assert database.damage is None, "the check at the start does not reach there"
    with pytest.raises(DamagedStoreError):
        everything(database, BORN)
    database.close()
    again = Database(path, "e" * 32)
    assert again.damage is not None
    while again.rescue.is_needed:
        again.rescue.step()
    lost = subtract(((1, READINGS),), normalise((seq, seq) for seq in everything(again, BORN)))
    assert 0 < count(lost) < 200
    again.close()
    third = Database(path, "f" * 32)
    assert third.damage is None
    third.close()


async def test_a_full_disk_holds_the_salvage_up_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_agent.buffer.store.SALVAGE_RETRY_SECONDS", 0.001)
    destroy_header(path)
    store = await Store.open(path, ManualClock(), commit_window_ms=1)
    step, refusals = store._database.rescue.step, [StoreWriteError("no room")] * 3

    def refuse() -> object:
        if refusals:
            raise refusals.pop()
        return step()

    monkeypatch.setattr(store._database.rescue, "step", refuse)
    await store.salvaged()
    assert store.waiting()[UpLane.READINGS] == READINGS
    await store.close()
