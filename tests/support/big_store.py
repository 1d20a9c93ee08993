"""A store with millions of readings of backlog, written by the real database layer in big groups.

`python -m tests.support.big_store PATH READINGS` makes one from a shell. Above 100,000 readings a second.
"""

import sys
from pathlib import Path

from tests.support.clock import BOOT, NOON_MS
from tests.support.readings import OXIMETER

from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.database import Database
from bedside_profiles.readings import ClockQuality, Metric, Modality, Reading

BORN = "b16" + "0" * 29
AT_ONCE = 50_000
EVERY_MS = 100
METRICS = (Metric.SPO2, Metric.PULSE_RATE)


def build_big_store(
    path: Path, readings: int, *, store_id: str = BORN, at_once: int = AT_ONCE, device_id: str = OXIMETER
) -> None:
    """Make a store of that many readings, ten a second, none of them covered by a receipt; it is closed then."""
    database = Database(path, store_id)
    for first in range(1, readings + 1, at_once):
        last = min(first + at_once - 1, readings)
        database.commit(Group(readings=[_reading(seq, device_id) for seq in range(first, last + 1)]))
    database.close()


def _reading(seq: int, device_id: str) -> Reading:
    return Reading(
        seq=seq,
        device_id=device_id,
        metric=METRICS[seq % 2],
        value=90 + seq % 100 / 10,
        modality=Modality.CONTINUOUS,
        taken_at_ms=NOON_MS + seq * EVERY_MS,
        boot_id=BOOT,
        monotonic_ms=seq * EVERY_MS,
        clock_quality=ClockQuality.SYNCED,
    )


if __name__ == "__main__":
    build_big_store(Path(sys.argv[1]), int(sys.argv[2]))
