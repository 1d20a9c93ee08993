"""The whole cloud as its own process, as `bedside-cloud up` runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 60.0
COMMAND = (sys.executable, "-m", "bedside_cloud.cli")


@dataclass(slots=True)
class RunningCloud:
    """A cloud in `state`; `process` is its supervisor."""

    state: Path
    log_file: Path
    process: subprocess.Popen[bytes]

    def status(self) -> dict[str, Any]:
        """What `status.json` says; empty before it is there."""
        try:
            content: dict[str, Any] = json.loads((self.state / "status.json").read_text())
        except FileNotFoundError:
            return {}
        return content

    def row(self, name: str) -> dict[str, Any]:
        """One process's row; empty before it is there."""
        return next((row for row in self.status().get("processes", ()) if row["name"] == name), {})

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that another process does; fail with the log when it does not come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come\n{self.log_file.read_text()}")
            time.sleep(0.05)

    def until_ready(self) -> None:
        """Every process has come up. A supervisor that was killed leaves its last word behind."""
        self.until(
            lambda: self.status().get("supervisor_pid") == self.process.pid and self.status()["ready"], "readiness"
        )

    def kill(self, name: str) -> None:
        """SIGKILL one process and wait until it serves again."""
        row = self.row(name)
        os.kill(row["pid"], signal.SIGKILL)
        self.until(
            lambda: self.row(name)["phase"] == "running" and self.row(name)["restarts"] > row["restarts"],
            f"the restart of {name}",
        )

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Tell the supervisor to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running_cloud(state: Path) -> Iterator[RunningCloud]:
    """The cloud while the block runs, ready when it begins."""
    log_file = state.parent / "up.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, "up", "--headless", "--state", str(state)], stdout=log, stderr=log, start_new_session=True
        )
    cloud = RunningCloud(state, log_file, process)
    try:
        cloud.until_ready()
        yield cloud
    finally:
        if process.poll() is None:
            cloud.stop()


def bedside_cloud(*arguments: str, state: Path, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Run one command against a state directory to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={**os.environ, "BEDSIDE_CLOUD_STATE": str(state), "COLUMNS": "200"},
    )
