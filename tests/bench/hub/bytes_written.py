"""Bytes written to the disk for each reading at 10 a second, with an fsync at each commit: what wears an SD card.

Measured by the kernel (`write_bytes` of /proc/self/io, whole pages of 4 KB) in a process that does nothing else, its
start not counted, its checkpoints and its closing counted.
"""

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.bench.figures import Figure

RATE = 10
SHORT_SECONDS, LONG_SECONDS = 60, 3600
PEER, PEER_BYTES = "ThingsBoard IoT Gateway 3.8.3 without fsync, 7.4 KB", 7.4 * 1024


async def measure(*, long: bool) -> list[Figure]:
    """Bytes a reading."""
    # Beside this file and not in /tmp, which may be memory: nothing is written to a disk there.
    with tempfile.TemporaryDirectory(prefix="bedside-bench-", dir=Path(__file__).parent) as folder:
        seconds = LONG_SECONDS if long else SHORT_SECONDS
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.hub.writing",
            str(Path(folder) / "buffer.db"),
            str(RATE),
            str(seconds),
            stdout=PIPE,
        )
        output, _ = await child.communicate()
    _, readings, written = output.decode().splitlines()[-1].split()
    if not int(written):
        raise RuntimeError("the kernel counts no writes for this file system: run it on a disk")
    value = round(int(written) / int(readings), 1)
    return [Figure("bytes_per_reading", value, "bytes", PEER, round(value / PEER_BYTES, 3))]
