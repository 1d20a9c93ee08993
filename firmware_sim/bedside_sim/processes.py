"""The product's own commands as child processes: started, watched, stopped, none left behind."""

import asyncio
import contextlib
import json
import os
import signal
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside_sim.errors import DemoError

STOP_SECONDS = 20.0
"""How long a process may take to stop cleanly: the cloud stops a database."""

TAIL_LINES = 15


def command(name: str) -> str:
    """The installed script of this environment, whatever PATH says."""
    return str(Path(sysconfig.get_path("scripts")) / name)


@dataclass(slots=True)
class Running:
    """A started process and where it logs."""

    name: str
    process: asyncio.subprocess.Process
    log_file: Path
    log_begins: int = 0

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.returncode is None

    def said(self) -> str:
        """All that this process logged."""
        with self.log_file.open("rb") as log:
            log.seek(self.log_begins)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        """The last lines that it logged."""
        return "\n".join(self.said().splitlines()[-TAIL_LINES:])


class Processes:
    """Everything that one demonstration started, stopped in the opposite order."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Running] = []

    async def start(self, name: str, arguments: Sequence[str]) -> Running:
        """Start a command of ours. It gets a session of its own: Ctrl-C reaches only the demonstration."""
        log_file = self._logs / f"{name}.log"
        begins = log_file.stat().st_size if log_file.exists() else 0
        descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        running = Running(name, process, log_file, begins)
        self._running.append(running)
        return running

    def newest(self, name: str) -> Running:
        """The last one that was started under this name; LookupError when there was none."""
        for running in reversed(self._running):
            if running.name == name:
                return running
        raise LookupError(name)

    async def stop(self) -> None:
        """Stop everything, the last started first; what does not stop in time is killed."""
        for running in reversed(self._running):
            await _stop(running.process)
        self._running.clear()

    async def watch(self) -> None:
        """Raise DemoError as soon as one of them ends by itself."""
        waits = {asyncio.create_task(one.process.wait()): one for one in self._running}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        ended = waits[done.pop()]
        raise DemoError(
            f"{ended.name} ended by itself with code {ended.process.returncode}.",
            f"Its last lines:\n{ended.tail()}",
        )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def ask(*arguments: str, stdin: str = "") -> Any:
    """Run a command to its end and return the JSON that it printed; DemoError with its own words if it fails."""
    return json.loads(await tell(*arguments, stdin=stdin))


async def tell(*arguments: str, stdin: str = "") -> str:
    """Run a command to its end and return what it printed; DemoError with its own words if it fails."""
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate(stdin.encode())
    except asyncio.CancelledError:
        await _stop(process)
        raise
    if process.returncode != 0:
        raise DemoError(f"`{' '.join(map(_short, arguments))}` failed.", err.decode(errors="replace").strip())
    return out.decode()


def _short(argument: str) -> str:
    """An argument as an error may show it: a path by its last part, a claim not at all."""
    if argument.startswith("bedside:"):
        return "CLAIM"
    return Path(argument).name if argument.startswith("/") else argument
