"""SIGKILL at random moments, at 1, 10, 100 and 1000 readings a second: how many acknowledged items are not there.

Acknowledged is what the child printed before it died, after the commit's future had resolved. Short: 20 kills; LONG=1:
500. The same store is opened again each time, so that every start also recovers what the kill before left behind.
"""

import asyncio
import contextlib
import random
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.bench.figures import Figure

from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import STORE_STEP, Damaged
from bedside_agent.buffer.database import Database

RATES = (1, 10, 100, 1000)
SHORT, LONG = 20, 500
PEER = "ThingsBoard IoT Gateway 3.8.3, memory storage, up to 93 at 1000 readings/s"

Acknowledged = dict[tuple[str, str], int]


async def measure(*, long: bool) -> list[Figure]:
    """Items acknowledged and not found, sequences found twice, kills and acknowledged items over all rates."""
    acknowledged = lost = twice = 0
    kills = (LONG if long else SHORT) // len(RATES)
    for rate in RATES:
        with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
            path = Path(folder) / "buffer.db"
            heard: Acknowledged = {}
            for number in range(kills):
                heard.update(await until_killed(path, rate, random.Random(rate * 1000 + number)))
            there, doubled = found_in(path)
            twice += doubled
            acknowledged += sum(heard.values())
            lost += sum(len(set(range(1, last + 1)) - there.get(key, set())) for key, last in heard.items())
    return [
        Figure("acknowledged_lost", lost, "items", PEER),
        Figure("sequences_twice", twice, "items"),
        Figure("kills", kills * len(RATES), "kills"),
        Figure("acknowledged", acknowledged, "items"),
    ]


async def until_killed(path: Path, rate: int, chance: random.Random) -> Acknowledged:
    """Let a child store readings and kill it; the last sequence that it acknowledged, by store and lane."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.hub.writing", str(path), str(rate), stdout=PIPE
    )
    assert child.stdout is not None
    heard: Acknowledged = {}
    _note(heard, await child.stdout.readline())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(chance.uniform(0.0, 0.6 if rate > 1 else 1.2)):
            while line := await child.stdout.readline():
                _note(heard, line)
    child.send_signal(signal.SIGKILL)
    # What was printed before the signal arrived counts too; a last line may be cut.
    rest = await child.stdout.read()
    for line in rest.splitlines(keepends=True):
        _note(heard, line)
    await child.wait()
    if not heard:
        raise RuntimeError("the child acknowledged nothing")
    return heard


def _note(heard: Acknowledged, line: bytes) -> None:
    words = line.decode().split()
    if line.endswith(b"\n") and len(words) == 3 and words[0] != "done":
        heard[words[0], words[1]] = int(words[2])


def found_in(path: Path) -> tuple[dict[tuple[str, str], set[int]], int]:
    """Sequences by store and lane, and how many of them stand twice."""
    database = Database(path, "f" * 32)
    there: dict[tuple[str, str], set[int]] = {}
    twice = 0
    for kept in database.kept():
        rows = database.fetch(kept.number, kept.lane, 1, STORE_STEP - 1, STORE_STEP)
        sequences = [span(row)[0] for row in rows if not isinstance(row, Damaged)]
        there[kept.store_id, kept.lane.value] = set(sequences)
        twice += len(sequences) - len(set(sequences))
    database.close()
    return there, twice
