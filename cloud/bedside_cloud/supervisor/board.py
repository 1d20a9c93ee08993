"""What every process is doing: for people as a table or a line per change, for programs as `status.json`."""

import json
import os
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table


class Phase(StrEnum):
    """`starting` until the process says that it serves, or answers; `waiting` is the pause after a death."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"


@dataclass(slots=True)
class Row:
    """One process. `restarts` counts how often it was started again; `last_exit` is its last end in words."""

    name: str
    phase: Phase = Phase.STOPPED
    pid: int | None = None
    restarts: int = 0
    last_exit: str = ""


@dataclass(slots=True)
class Rotation:
    """The newest rotation of the services' keys since the start; `trouble` is why it was not finished."""

    number: int = 0
    is_running: bool = False
    at_ms: int = 0
    trouble: str = ""


class Screen(Protocol):
    """Where changes are shown."""

    def show(self, changed: Row, rows: list[Row]) -> None:
        """One row has changed."""
        ...


class LineScreen:
    """One line for each change: for logs and journals."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, changed: Row, rows: list[Row]) -> None:
        parts = [changed.name, changed.phase.value]
        if changed.pid is not None:
            parts.append(f"pid={changed.pid}")
        if changed.restarts:
            parts.append(f"restarts={changed.restarts}")
        if changed.phase is Phase.WAITING and changed.last_exit:
            parts.append(changed.last_exit)
        self._console.print(" ".join(parts), markup=False, highlight=False, soft_wrap=True)


class TableScreen:
    """One table that changes in place: for a terminal."""

    STYLES: ClassVar = {
        Phase.RUNNING: "green",
        Phase.WAITING: "red",
        Phase.STARTING: "yellow",
        Phase.STOPPING: "yellow",
    }

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, changed: Row, rows: list[Row]) -> None:
        table = Table(box=None, pad_edge=False)
        for column in ("process", "state", "pid", "restarts", "last end"):
            table.add_column(column, justify="right" if column in ("pid", "restarts") else "left")
        for row in rows:
            state = f"[{self.STYLES.get(row.phase, 'yellow')}]{row.phase.value}[/]"
            table.add_row(row.name, state, str(row.pid or "–"), str(row.restarts), row.last_exit or "–")
        self._live.update(table, refresh=True)


class Board:
    """The rows, the screen and the status file, kept in step."""

    def __init__(self, file: Path, screen: Screen) -> None:
        self._file = file
        self._screen = screen
        self._rows: dict[str, Row] = {}
        self._ready = False
        self._rotation = Rotation()

    def set(self, row: Row) -> None:
        """A row is new or has changed."""
        self._rows[row.name] = row
        self._write()
        self._screen.show(row, list(self._rows.values()))

    def ready(self, ready: bool) -> None:
        """Whether every process has come up once."""
        self._ready = ready
        self._write()

    def rotating(self) -> None:
        """The services get new keys."""
        self._rotation = Rotation(self._rotation.number + 1, is_running=True)
        self._write()

    def rotated(self, trouble: str = "") -> None:
        """They have them, or (`trouble`) not all of them."""
        self._rotation = Rotation(self._rotation.number, at_ms=time.time_ns() // 1_000_000, trouble=trouble)
        self._write()

    def _write(self) -> None:
        content = {
            "supervisor_pid": os.getpid(),
            "ready": self._ready,
            "rotation": asdict(self._rotation),
            "processes": [asdict(row) for row in self._rows.values()],
        }
        beside = self._file.with_name(self._file.name + ".new")
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        beside.replace(self._file)
