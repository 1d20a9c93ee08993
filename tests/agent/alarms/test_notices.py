"""What became of the alarms, as last heard."""

from pathlib import Path

from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import HUB

from bedside_agent.alarms.notices import MOST, STATE, AlertBook
from bedside_agent.buffer.store import Store
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION


def notice(number: int, version: int, stage: AlertStage = AlertStage.STORED) -> AlertNotice:
    alert_id = f"00000000-0000-4000-8000-{number:012d}"
    return AlertNotice(SCHEMA_VERSION, HUB, alert_id, "spo2_low", stage, version, NOON_MS)


async def test_the_newest_of_each_alert_is_kept_over_a_restart_however_they_arrive(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "buffer.db", ManualClock(), commit_window_ms=1)
    book = AlertBook(store)
    newest = notice(1, 3, AlertStage.ACKNOWLEDGED)
    for one in (notice(1, 1), newest, notice(1, 2), notice(1, 3), notice(2, 1)):
        book.take(one)
    assert book.notices == (newest, notice(2, 1))
    await store.close()
    store = await Store.open(tmp_path / "buffer.db", ManualClock(), commit_window_ms=1)
    assert AlertBook(store).notices == (newest, notice(2, 1))
    await store.put_state({STATE: b'[{"schema": 9}]'})
    assert AlertBook(store).notices == ()
    await store.close()


async def test_the_book_is_bounded(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "buffer.db", ManualClock(), commit_window_ms=1)
    book = AlertBook(store)
    for number in range(MOST + 3):
        book.take(notice(number, 1))
    assert book.notices[0] == notice(3, 1)
    assert len(book.notices) == MOST
    await store.close()
