"""A child process that stores readings at a rate and says what was acknowledged: what the hub's benchmarks measure.

`python -m tests.bench.hub.writing PATH RATE SECONDS`: prints `store lane sequence` after each commit, and only then;
with SECONDS it stops by itself and prints `done READINGS BYTES`, the bytes that the kernel wrote for this process.
"""

import asyncio
import sys
import time
from collections import deque
from pathlib import Path

from tests.support.readings import alarm, reading

from bedside_agent.buffer.store import Store
from bedside_agent.clock import SystemClock

ALARM_EVERY = 200
STEP_SECONDS = 0.01


async def write(path: Path, rate: float, seconds: float | None) -> None:
    """Append `rate` readings a second, a pair (saturation, pulse) at a time where the rate allows, as devices do."""
    clock = SystemClock()
    store = await Store.open(path, clock)
    written_before = bytes_written()
    began, appended = time.monotonic(), 0
    waiting: deque[tuple[str, int, asyncio.Future[None]]] = deque()
    while seconds is None or time.monotonic() - began < seconds:
        due = int((time.monotonic() - began) * rate) + 1 - appended
        if due > 0:
            readings, committed = store.append_readings([reading(97.0, at=clock.now()) for _ in range(min(due, 2))])
            appended += len(readings)
            waiting.append(("readings", readings[-1].seq, committed))
            if seconds is None and appended % ALARM_EVERY < len(readings):
                raised, kept = store.append_alarm(alarm())
                waiting.append(("alarms", raised.seq, kept))
        if due <= 2:
            await asyncio.sleep(STEP_SECONDS if rate < 1 / STEP_SECONDS else 0.001)
        still: deque[tuple[str, int, asyncio.Future[None]]] = deque()
        for lane, seq, committed in waiting:
            if committed.done():
                print(store.store_id, lane, seq, flush=True)
            else:
                still.append((lane, seq, committed))
        waiting = still
    await store.close()
    print("done", appended, bytes_written() - written_before, flush=True)


def bytes_written() -> int:
    """What the kernel counts as written for this process: pages that it dirtied, without the file system's own."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(fields["write_bytes"])


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else None))
