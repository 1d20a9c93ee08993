"""The agent gives back what it does not need."""

import subprocess
import sys

PEAK = """
import asyncio, gc
from pathlib import Path
from bedside_agent import heap

def rss_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

async def main():
    heap.TRIM_SECONDS = 0.05
    heap.settle()
    assert gc.get_freeze_count() > 1000
    peak = [bytearray(60_000) for _ in range(600)]
    # The last one stays: the allocator cannot give the rest back by itself.
    del peak[:-1]
    before = rss_mb()
    keeping = asyncio.create_task(heap.keep_small())
    await asyncio.sleep(0.5)
    keeping.cancel()
    print(before - rss_mb())

asyncio.run(main())
"""


def test_a_peak_does_not_stay() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 20
