"""The agent's real serial code over a pseudo-terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_sim.pty import SerialLine


@contextmanager
def serial_line(path: Path) -> Iterator[SerialLine]:
    """A line behind `path`, unplugged at the end."""
    line = SerialLine(path)
    try:
        yield line
    finally:
        line.unplug()
