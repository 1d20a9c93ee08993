"""The agent's real serial code over a pseudo-terminal."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial import nonin_df2
from bedside_sim.pty import SerialLine

LISTENS_SECONDS = 20.0


@contextmanager
def serial_line(path: Path) -> Iterator[SerialLine]:
    """A line behind `path`, unplugged at the end."""
    line = SerialLine(path)
    try:
        yield line
    finally:
        line.unplug()


async def speak(line: SerialLine, spo2: int, seconds: int, *, pulse: int = 72) -> None:
    """What an oximeter says in so many seconds, all at once, as soon as the agent listens."""
    measured = [(Metric.SPO2, spo2), (Metric.PULSE_RATE, pulse)]
    said = nonin_df2.encode([Measurement(metric, value, Modality.CONTINUOUS) for metric, value in measured])
    async with asyncio.timeout(LISTENS_SECONDS):
        for _ in range(seconds):
            while not await line.write(said):
                await asyncio.sleep(0.02)
