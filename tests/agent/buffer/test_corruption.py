"""A damaged file: the hub starts within seconds, saves every row on an undamaged page, says so, and goes on."""

import os
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.readings import GENERATION, HUB, alarm, event, reading
from tests.support.storing_cloud import Mailbag, StoringCloud

from bedside_agent.buffer import salvage
from bedside_agent.buffer.bundles import span, unpack
from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.inspection import peek
from bedside_agent.buffer.key_file import FILE, open_keyring
from bedside_agent.buffer.salvage import Aside
from bedside_agent.buffer.sqlite_file import PAGE_BYTES
from bedside_agent.buffer.store import Store
from bedside_agent.uplink.sender import Limits, Sender
from bedside_profiles.wire.topics import UpLane

BORN = "a" * 32
PLAN = bytes(range(256)) * 40
GROUPS = 600
AT_ONCE = 20
MOST_SECONDS = 10.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was never closed: a part of it stands in the log alone."""
    path = tmp_path_factory.mktemp("whole") / "buffer.db"
    database = Database(path, BORN)
    database.commit(Group(state={"alarms.plan": PLAN, "cloud.generation": GENERATION.encode()}))
    for place in range(GROUPS):
        first = place * AT_ONCE + 1
        group = Group(readings=[reading(90.5, seq=seq) for seq in range(first, first + AT_ONCE)])
        database.commit(group)
        if place % 20 == 0:
            database.commit(Group(alarms=[alarm(seq=place // 20 + 1)]))
            database.commit(Group(events=[event(seq=place // 20 + 1)]))
    copy = path.parent / "copy"
    copy.mkdir()
    for name in ("buffer.db", "buffer.db-wal", FILE):
        shutil.copy(path.with_name(name), copy)
    database.close()
    return copy


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "state")
    return tmp_path / "state" / "buffer.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path, ManualClock(), commit_window_ms=1)
    try:
        yield store
    finally:
        await store.close()


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def destroy_header(path: Path) -> None:
    overwrite(path, 0, bytes(100))


def destroy_first_page(path: Path) -> None:
    overwrite(path, 0, os.urandom(PAGE_BYTES))


def destroy_both_headers(path: Path) -> None:
    overwrite(path, 0, os.urandom(100))
    overwrite(log_of(path), 0, bytes(32))


def empty_the_file(path: Path) -> None:
    os.truncate(path, 0)


def damage_pages(path: Path, chance: random.Random, *, zero: bool) -> None:
    for number in chance.sample(range(1, path.stat().st_size // PAGE_BYTES), 6):
        if zero:
            overwrite(path, number * PAGE_BYTES, bytes(PAGE_BYTES))
        else:
            overwrite(path, number * PAGE_BYTES + chance.randrange(PAGE_BYTES - 8), os.urandom(8))


def expected(path: Path) -> dict[UpLane, set[int]]:
    """What stands on pages that can be read, after the damage."""
    found: dict[UpLane, set[int]] = {lane: set() for lane in UpLane}
    aside = Aside(path, open_keyring(path))
    for row in aside.rows(0, aside.count - 1):
        if row.lane is not None:
            found[row.lane] |= {span(item)[0] for item in unpack(row.seq, row.plain).items}
    aside.close()
    return found


def salvage_all(path: Path) -> int:
    database = Database(path, "b" * 32)
    while database.rescue.is_needed:
        database.rescue.step()
    rows = database.rescue.rows
    database.close()
    return rows


async def delivered(store: Store) -> dict[UpLane, set[int]]:
    await store.salvaged()
    cloud, clock = StoringCloud(HUB), ManualClock()
    sender = Sender(store, clock, HUB, Limits(batch_bytes=64 * 1024, window_bytes=512 * 1024))
    mail = Mailbag()
    while any(store.waiting().values()):
        await sender.send_what_fits(mail.publish)
        for lane, body in mail.empty():
            for receipt in cloud.hear(lane, body):
                sender.receive(receipt)
    return {
        lane: {
            item.seq
            for batch in cloud.batches
            if (batch.header.store_id, batch.header.lane) == (BORN, lane)
            for item in (batch.readings or batch.alarms or batch.events)
        }
        for lane in (UpLane.ALARMS, UpLane.READINGS, UpLane.EVENTS)
    }


@pytest.mark.parametrize("damage", [destroy_header, destroy_first_page, destroy_both_headers, empty_the_file])
async def test_a_destroyed_header_costs_nothing_that_stands_elsewhere(
    path: Path, damage: Callable[[Path], None]
) -> None:
    damage(path)
    readable = expected(path)
    began = time.monotonic()
    async with opened(path) as store:
        assert time.monotonic() - began < MOST_SECONDS
        assert store.store_id != BORN
        if damage is not empty_the_file:
            assert store.state["alarms.plan"] == PLAN
            assert len(readable[UpLane.READINGS]) == GROUPS * AT_ONCE
            assert len(readable[UpLane.ALARMS]) == GROUPS // 20
        await store.append_readings([reading()])[1]
        await store.append_alarm(alarm())[1]
        arrived = await delivered(store)
        assert all(arrived[lane] >= readable[lane] for lane in arrived)
    assert not salvage.waiting(path)
    assert path.with_name("buffer.db.salvaged").exists()
    async with opened(path) as store:
        assert store.store_id != BORN


def test_a_page_number_that_is_chance_costs_no_time(path: Path) -> None:
    """Of a log at a wrong page size, or damaged, any number may come out: only pages that are there are looked at."""
    log = log_of(path)
    frame = 24 + PAGE_BYTES
    assert log.stat().st_size >= 32 + frame
    before = Aside(path, open_keyring(path))
    most = before.count
    before.close()
    overwrite(log, 32, (2**24).to_bytes(4, "big"))
    after = Aside(path, open_keyring(path))
    assert after.count <= most + 1
    assert {row.name for row in after.named_values()} >= {"alarms.plan"}
    after.close()


@pytest.mark.parametrize("seed", range(6))
async def test_random_damaged_pages_cost_only_what_stood_on_them(path: Path, seed: int) -> None:
    Database(path, "b" * 32).close()  # Everything is in the file now.
    damage_pages(path, random.Random(seed), zero=bool(seed % 2))
    readable = expected(path)
    assert len(readable[UpLane.READINGS]) > GROUPS * AT_ONCE // 2
    began = time.monotonic()
    async with opened(path) as store:
        assert time.monotonic() - began < MOST_SECONDS
        await store.append_readings([reading()])[1]
        arrived = await delivered(store)
        assert all(arrived[lane] >= readable[lane] for lane in arrived)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.77, 0.9999])
async def test_a_truncated_log_costs_its_end_alone(path: Path, part: float) -> None:
    log = log_of(path)
    os.truncate(log, int(log.stat().st_size * part))
    readable = expected(path)
    began = time.monotonic()
    async with opened(path) as store:
        assert time.monotonic() - began < MOST_SECONDS
        await store.append_readings([reading()])[1]
        arrived = await delivered(store)
    # The last transaction's frames may be there in part: SQLite takes whole ones, in their order.
    assert len(readable[UpLane.READINGS] - arrived[UpLane.READINGS]) <= AT_ONCE
    assert sorted(arrived[UpLane.READINGS]) == list(range(1, len(arrived[UpLane.READINGS]) + 1))


async def test_the_cloud_is_told(path: Path) -> None:
    destroy_first_page(path)
    async with opened(path) as store:
        await store.append_readings([reading()])[1]
        shelf = next(one for one in store.shelves() if (one.store_id, one.lane) == (store.store_id, UpLane.EVENTS))
        (told,) = await store.fetch(shelf, (1, 1), 1)
        assert getattr(told, "kind", "") == "store_corrupt"


def test_the_damaged_file_is_kept_as_it_was(path: Path) -> None:
    destroy_first_page(path)
    before = path.read_bytes()
    salvage_all(path)
    assert path.with_name("buffer.db.salvaged").read_bytes() == before


async def test_a_salvage_that_was_cut_short_is_finished_by_the_next_start(path: Path) -> None:
    destroy_first_page(path)
    salvage.put_aside(path)
    async with opened(path) as store:
        arrived = await delivered(store)
    assert len(arrived[UpLane.READINGS]) == GROUPS * AT_ONCE
    assert not salvage.waiting(path)


def test_garbage_in_the_place_of_a_store_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "buffer.db"
    path.write_bytes(b"not a database" * 1000)
    assert salvage_all(path) == 0
    assert path.with_name("buffer.db.salvaged").read_bytes() == b"not a database" * 1000


def test_a_store_with_the_larger_pages_of_the_first_schema_is_saved_too(tmp_path: Path) -> None:
    path = tmp_path / "buffer.db"
    shutil.copy(Path(__file__).parent / "frozen" / "schema_0001.db", path)
    Database(path, "c" * 32).close()
    destroy_header(path)
    assert len(expected(path)[UpLane.READINGS]) == 300
    salvage_all(path)
    assert peek(path) == {"alarms": 1, "readings": 302, "events": 1, "waveforms": 0}
