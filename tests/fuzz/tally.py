"""How far a run is, and what it found."""

import json
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

STEP = 500
"""Cases between two moves of the bar."""


def progress_bar() -> Progress:
    """On standard error, so that standard output has the figures alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))


class Tally:
    """Counts one framer's cases and moves its bar."""

    def __init__(self, name: str, cases: int, progress: Progress) -> None:
        self._name = name
        self._cases = cases
        self._progress = progress
        self._bar = progress.add_task(name, total=cases, speed="")
        self._begin = time.monotonic()
        self.done = 0
        self.told = 0

    def count(self, told: int) -> None:
        """One more case went well, and told so many sets."""
        self.done += 1
        self.told += told
        if self.done % STEP == 0 or self.done == self._cases:
            speed = f"{self.done / (time.monotonic() - self._begin):.0f} cases/s"
            self._progress.update(self._bar, completed=self.done, speed=speed)

    def say(self, guard: str, *, steered: bool) -> None:
        """The figures, once the cases are through."""
        seconds = time.monotonic() - self._begin
        figures = {
            "fuzz": self._name,
            "guard": guard,
            "steered": steered,
            "cases": self.done,
            "sets_told": self.told,
            "wrong_values": 0,
            "cases_per_second": round(self.done / seconds),
        }
        print(json.dumps(figures), flush=True)
