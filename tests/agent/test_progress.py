"""What feeds the watchdog, and what stops feeding it."""

import asyncio
import threading
from pathlib import Path

import pytest
from tests.support.clock import ManualClock

from bedside_agent.buffer.store import Store
from bedside_agent.notify import Notifier
from bedside_agent.progress import Progress, patience_ms


def test_each_part_has_its_own_patience() -> None:
    patience = patience_ms(20)
    for part in patience:
        progress = Progress(patience, 1_000)
        for other in set(patience) - {part}:
            progress.moved(other, 10_000_000)
        assert progress.stuck(1_000 + patience[part]) == ()
        assert progress.stuck(1_000 + patience[part] + 1) == (part,)
        progress.moved(part, 10_000_000)
        assert progress.stuck(10_000_000) == ()


async def test_a_card_that_hangs_lets_the_buffer_answer_no_more(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "buffer.db", ManualClock())
    await store.answer()
    hanging = threading.Event()
    held = asyncio.ensure_future(store._on_thread(hanging.wait))
    asked = asyncio.ensure_future(store.answer())
    done, _ = await asyncio.wait({asked}, timeout=0.05)
    assert not done
    hanging.set()
    await asyncio.gather(held, asked)
    await store.close()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_interval(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier.from_environment(environment, 7).watchdog_seconds == seconds


def test_without_a_manager_nothing_is_said() -> None:
    Notifier.from_environment({}, 7).ready()
