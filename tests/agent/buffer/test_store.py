"""The open store: what is acknowledged is on the disk, and only receipts settle."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import ManualClock
from tests.support.readings import GENERATION, HUB, alarm, event, reading

from bedside_agent.buffer import retention
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Damaged, Group, Item
from bedside_agent.buffer.pending import window_seconds
from bedside_agent.buffer.ranges import Ranges
from bedside_agent.buffer.shelf import Shelf
from bedside_agent.buffer.store import Store
from bedside_agent.errors import StoreWriteError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.events import Gap, GapReason
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.receipt import Receipt, Rejected
from bedside_profiles.wire.topics import UpLane

OTHER_GENERATION = "66666666-6666-4666-8666-666666666666"


@asynccontextmanager
async def opened(directory: Path, clock: ManualClock | None = None, *, window_ms: int = 1) -> AsyncIterator[Store]:
    store = await Store.open(directory / "buffer.db", clock or ManualClock(), commit_window_ms=window_ms)
    try:
        yield store
    finally:
        await store.close()


def shelf(store: Store, lane: UpLane = UpLane.READINGS, store_id: str | None = None) -> Shelf:
    return next(one for one in store.shelves() if one.lane is lane and one.store_id == (store_id or store.store_id))


def receipt(
    store_id: str | None,
    *stored: tuple[int, int],
    lane: UpLane = UpLane.READINGS,
    generation: str = GENERATION,
    rejected: tuple[Rejected, ...] = (),
) -> Receipt:
    return Receipt(SCHEMA_VERSION, HUB, generation, lane, store_id, stored, rejected=rejected)


async def fill(store: Store, *rows: int) -> None:
    """Rows of so many readings each: a row goes when all its readings may go."""
    for row in rows:
        _, committed = store.append_readings([reading()] * row)
        await committed


def seqs(items: Iterable[Item | Damaged]) -> list[int]:
    return [item.seq if isinstance(item, Damaged) else span(item)[0] for item in items]


async def test_members_of_one_measurement_share_a_group(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        alone, _ = store.append_readings([reading()])
        pair, committed = store.append_readings([reading(), reading()])
        await committed
        assert [(one.seq, one.group) for one in (*alone, *pair)] == [(1, None), (2, 2), (3, 2)]
        assert await store.fetch(shelf(store), (1, 3), 10) == (*alone, *pair)


async def test_an_alarm_commits_alone_without_waiting_for_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, window_ms=3_600_000) as store:
        _, readings_committed = store.append_readings([reading()])
        groups: list[Group] = []
        commit = store._database.commit

        def watched(group: Group) -> None:
            groups.append(group)
            commit(group)

        monkeypatch.setattr(store._database, "commit", watched)
        kept, committed = store.append_alarm(alarm(), {"rules": b"active"})
        await committed
        assert groups[0].alarms == [kept]
        assert groups[0].readings == []
        assert groups[0].state == {"rules": b"active"}
        await readings_committed


async def test_state_is_committed_with_the_alarm_and_a_later_value_wins(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.put_state({"rules": b"old", "gone": b"x"})
        _, committed = store.append_alarm(alarm(), {"rules": b"alarm"})
        later = store.put_state({"rules": b"newest", "gone": None})
        await asyncio.gather(committed, later)
    async with opened(tmp_path) as store:
        assert dict(store.state) == {"rules": b"newest"}


async def test_closing_commits_what_is_pending(tmp_path: Path) -> None:
    async with opened(tmp_path, window_ms=3_600_000) as store:
        store.append_readings([reading()])
        store.append_event(event())
        born = store.store_id
    async with opened(tmp_path) as store:
        assert shelf(store, UpLane.READINGS, born).waiting() == ((1, 1),)
        assert shelf(store, UpLane.EVENTS, born).waiting() == ((1, 1),)
        assert store.store_id != born
        assert shelf(store).waiting() == ()


async def test_only_a_receipt_settles_and_it_settles_what_it_names(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 10)
        assert store.waiting()[UpLane.READINGS] == 10
        store.apply_receipt(receipt(store.store_id, (1, 3), (7, 8), rejected=(Rejected(5, "no"),)))
        assert shelf(store).waiting() == ((4, 4), (6, 6), (9, 10))
        store.apply_receipt(receipt(store.store_id, (1, 2)))
        assert shelf(store).waiting() == ((4, 4), (6, 6), (9, 10)), "an older receipt takes nothing back"


async def test_a_receipt_cannot_settle_what_is_not_yet_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 2)
        store.apply_receipt(receipt(store.store_id, (1, 1_000_000)))
        await fill(store, 1)
        assert shelf(store).waiting() == ((3, 3),)


@pytest.mark.parametrize("store_id", ["f" * 32, None])
async def test_a_receipt_for_a_store_that_is_not_ours_settles_nothing(tmp_path: Path, store_id: str | None) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 2)
        assert not store.apply_receipt(receipt(store_id, (1, 2)))
        assert not store.apply_receipt(receipt(store.store_id, (1, 2), lane=UpLane.WAVEFORMS))
        assert shelf(store).waiting() == ((1, 2),)


async def test_receipts_survive_a_restart_and_cover_older_stores(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 4)
        born = store.store_id
        store.apply_receipt(receipt(born, (1, 2)))
    async with opened(tmp_path) as store:
        assert shelf(store, store_id=born).waiting() == ((3, 4),)
        store.apply_receipt(receipt(born, (1, 4)))
        assert shelf(store, store_id=born).waiting() == ()


async def test_another_generation_makes_every_store_wait_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 3)
        born = store.store_id
        store.apply_receipt(receipt(born, (1, 3)))
    async with opened(tmp_path) as store:
        await fill(store, 2)
        assert not store.apply_receipt(receipt(store.store_id, (1, 2)))
        assert store.apply_receipt(receipt(store.store_id, (1, 1), generation=OTHER_GENERATION))
        assert shelf(store, store_id=born).waiting() == ((1, 3),)
        assert shelf(store).waiting() == ((2, 2),)
        assert not store.apply_receipt(receipt(born, (1, 2), generation=OTHER_GENERATION))
    async with opened(tmp_path) as store:
        assert shelf(store, store_id=born).waiting() == ((3, 3),)
        assert store.waiting()[UpLane.READINGS] == 2


async def test_stored_readings_go_after_three_days_of_running_time_and_no_others(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await fill(store, 3, 2)
        clock.advance(hours=1)
        await fill(store, 5)
        store.apply_receipt(receipt(store.store_id, (1, 3), (6, 10)))
        clock.advance(hours=71.5)
        assert await store.retain() == 3
        assert seqs(await store.fetch(shelf(store), (4, 10), 20)) == [4, 5, 6, 7, 8, 9, 10]
        assert shelf(store).waiting() == ((4, 5),)
        clock.set_wall(0, clock.now().quality)
        assert await store.retain() == 0


@pytest.mark.parametrize("restarts", [0, 1, 2])
async def test_a_rewind_offers_gaps_for_what_was_let_go(tmp_path: Path, restarts: int) -> None:
    """In the present opening and in later ones; at the beginning of a lane, within it, and at its end."""
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(tmp_path, clock))
        await fill(store, 3, 2, 3, 4)
        clock.advance(hours=1)
        await fill(store, 1)
        born = store.store_id
        store.apply_receipt(receipt(born, (1, 3), (6, 8), (13, 13)))
        clock.advance(hours=73)
        assert await store.retain() == 7
        for _ in range(restarts):
            await stack.aclose()
            store = await stack.enter_async_context(opened(tmp_path, clock))
        store.apply_receipt(receipt(born, (1, 2), generation=OTHER_GENERATION))
        old = shelf(store, store_id=born)
        assert old.waiting() == ((3, 13),)
        found = await store.fetch(old, (3, 13), 20)
        gap = partial(Gap, reason=GapReason.LET_GO)
        assert [one for one in found if isinstance(one, Gap)] == [gap(3, 3, 1), gap(6, 8, 3), gap(13, 13, 1)]
        assert [one.seq for one in found if isinstance(one, Reading)] == [4, 5, 9, 10, 11, 12]


async def test_a_rewind_ends_a_retention_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await fill(store, 6_000)
        store.apply_receipt(receipt(store.store_id, (1, 6_000)))
        clock.advance(hours=73)
        delete, loop = store._database.delete, asyncio.get_running_loop()

        def restore_meanwhile(*arguments: Any) -> Ranges:
            loop.call_soon_threadsafe(store.apply_receipt, receipt(None, generation=OTHER_GENERATION))
            return delete(*arguments)

        monkeypatch.setattr(store._database, "delete", restore_meanwhile)
        gone = await store.retain()
        assert gone < 2 * retention.SLICE, "one piece was under way"
        assert shelf(store).waiting() == ((1, 6_000),)
        kept = await store.fetch(shelf(store), (1, 6_000), 9_000)
        assert len([one for one in kept if isinstance(one, Reading)]) == 6_000 - gone


@pytest.mark.parametrize("restarts", [0, 1, 2])
async def test_what_an_emptied_store_had_is_known_for_a_rewind(tmp_path: Path, restarts: int) -> None:
    """Also by an agent that was killed between the rewind and the gap's receipt."""
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await fill(store, 5)
        born = store.store_id
        store.apply_receipt(receipt(born, (1, 5)))
    async with opened(tmp_path, clock) as store:
        clock.advance(hours=73)
        assert await store.retain() == 5
    async with opened(tmp_path, clock) as store:
        assert not any(store.waiting().values())
        store.apply_receipt(receipt(None, generation=OTHER_GENERATION))
    for _ in range(restarts):
        async with opened(tmp_path, clock) as store:
            await store.retain()
    async with opened(tmp_path, clock) as store:
        old = shelf(store, store_id=born)
        assert old.waiting() == ((1, 5),)
        assert await store.fetch(old, (1, 5), 9) == (Gap(1, 5, 5, GapReason.LET_GO),)
        store.apply_receipt(receipt(born, (1, 5), generation=OTHER_GENERATION))
        assert not any(store.waiting().values())


async def test_an_emptied_store_is_forgotten_after_a_month_and_never_with_a_gap_that_waits(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as store:
        await fill(store, 5)
        born = store.store_id
        store.apply_receipt(receipt(born, (1, 5)))
    async with opened(tmp_path, clock) as store:
        clock.advance(hours=73)
        assert await store.retain() == 5
        assert {one.store_id for one in store.shelves()} == {store.store_id, born}
        store.apply_receipt(receipt(None, generation=OTHER_GENERATION))
        clock.advance(hours=30 * 24)
        await store.retain()
        assert {one.store_id for one in store.shelves()} == {store.store_id, born}, "its gap waits"
        store.apply_receipt(receipt(born, (1, 5), generation=OTHER_GENERATION))
        await store.retain()
        assert {one.store_id for one in store.shelves()} == {store.store_id}


async def test_not_more_than_a_hundred_emptied_stores_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.buffer.retention.MOST_REMEMBERED", 2)
    clock, born = ManualClock(), list[str]()
    for _ in range(4):
        async with opened(tmp_path, clock) as store:
            await fill(store, 5)
            born.append(store.store_id)
            store.apply_receipt(receipt(store.store_id, (1, 5)))
    async with opened(tmp_path, clock) as store:
        clock.advance(hours=73)
        assert await store.retain() == 20
        assert {one.store_id for one in store.shelves()} == {store.store_id, *born[2:]}


async def test_no_gap_is_told_of_what_a_damaged_file_may_still_hold(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 1, 2, 2)
        born = store.store_id
        store._database.delete(1, UpLane.READINGS, (2, 3), ((2, 3),))
    async with opened(tmp_path) as store:
        store._salvaging = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
        old = shelf(store, store_id=born)
        assert seqs(await store.fetch(old, (1, 5), 9)) == [1, 4, 5]
        assert shelf(store, store_id=born).waiting() == ((1, 1), (4, 5))


async def test_a_refusing_disk_loses_nothing_and_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_agent.buffer.writer.RETRY_SECONDS", 0.001)
    async with opened(tmp_path) as store:
        commit = store._database.commit
        refusals = [StoreWriteError("disk full")] * 3
        seen: list[object] = []

        def refuse(group: Group) -> None:
            seen.append(store.failing)
            if refusals:
                raise refusals.pop()
            commit(group)

        monkeypatch.setattr(store._database, "commit", refuse)
        _, reading_committed = store.append_readings([reading()])
        _, alarm_committed = store.append_alarm(alarm())
        await asyncio.gather(reading_committed, alarm_committed)
        assert any(seen)
        assert store.failing is None
        assert store.waiting() == {UpLane.ALARMS: 1, UpLane.READINGS: 1, UpLane.EVENTS: 0, UpLane.WAVEFORMS: 0}


async def test_a_real_write_lock_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_agent.buffer.writer.RETRY_SECONDS", 0.001)
    async with opened(tmp_path) as store:
        store._database.file.execute("PRAGMA busy_timeout = 1")
        blocker = sqlite3.connect(tmp_path / "buffer.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        _, committed = store.append_readings([reading()])
        while store.failing is None:
            await asyncio.sleep(0)
        assert not committed.done()
        blocker.execute("ROLLBACK")
        blocker.close()
        await committed
        assert store.failing is None


async def test_a_dead_writer_is_told_to_whoever_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await Store.open(tmp_path / "buffer.db", ManualClock(), commit_window_ms=1)
    store.append_readings([reading(taken_at_ms=-1)])
    with pytest.raises(ValueError, match="negative"):
        await store.watch()
    with pytest.raises(ValueError, match="negative"):
        await store.close()
    store._database.close()


def test_the_commit_window_grows_only_under_load() -> None:
    assert window_seconds(0.2, 0, 0.2) == 0.2
    assert window_seconds(0.2, 1, 0.2) == 0.2
    assert window_seconds(0.2, 2, 0.2) == 1.0
    assert window_seconds(0.2, 10, 1.0) == 1.0
    assert window_seconds(0.2, 7, 1.0) == 0.2
