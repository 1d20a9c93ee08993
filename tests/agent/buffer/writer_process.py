"""Appends until it is killed; prints `store_id lane sequence` after each commit, and only then."""

import asyncio
import sys
from pathlib import Path

from bedside_agent.buffer.store import Store
from bedside_agent.clock import SystemClock

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.support.readings import alarm, reading


async def main(path: Path) -> None:
    store = await Store.open(path, SystemClock(), commit_window_ms=2)
    while True:
        readings, committed = store.append_readings([reading() for _ in range(5)])
        raised = None
        if readings[0].seq % 25 == 1:
            raised, alarm_committed = store.append_alarm(alarm())
            await alarm_committed
            print(store.store_id, "alarms", raised.seq, flush=True)  # noqa: T201
        await committed
        print(store.store_id, "readings", readings[-1].seq, flush=True)  # noqa: T201


asyncio.run(main(Path(sys.argv[1])))
