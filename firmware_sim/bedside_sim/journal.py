"""What was really emitted: the truth that the cloud's database is compared with.

One JSON line for each measurement that was handed to the radio or the line while somebody was there to hear it, in
the order of emission for each device. Values are what the profile's own decoder makes of the bytes that went out, so
they equal what a hub must store.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bedside_profiles.readings import Measurement


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment: UTC in milliseconds, and the machine's monotonic clock, which all its processes share."""

    utc_ms: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> "Stamp":
        """This moment."""
        return cls(time.time_ns() // 1_000_000, time.monotonic_ns())


@dataclass(frozen=True, slots=True)
class Entry:
    """One emitted measurement; `value` is None exactly when `range_flag` is set."""

    device_id: str
    metric: str
    value: float | None
    range_flag: str | None
    modality: str
    utc_ms: int
    monotonic_ns: int
    device_time: str | None = None


class Journal:
    """Appends to a file and hands each line to the operating system at once: a killed simulator loses none."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")

    def record(self, device_id: str, measurements: Sequence[Measurement], at: Stamp) -> None:
        """The measurements of one frame, in its order."""
        for measurement in measurements:
            line = {
                "device_id": device_id,
                "metric": measurement.metric.value,
                "value": measurement.value,
                "range_flag": None if measurement.range_flag is None else measurement.range_flag.value,
                "modality": measurement.modality.value,
                "utc_ms": at.utc_ms,
                "monotonic_ns": at.monotonic_ns,
                "device_time": measurement.device_time,
            }
            self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries of a journal, oldest first; a last line that a kill cut short is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield Entry(**json.loads(line))
