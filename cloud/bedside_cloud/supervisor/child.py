"""One process that is kept running."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bedside_cloud.errors import OperatorError
from bedside_cloud.readiness import NOTIFY_VARIABLE, listen_for_ready
from bedside_cloud.supervisor.backoff import deaths_in_a_row, pause_seconds
from bedside_cloud.supervisor.board import Board, Phase, Row

LARGEST_LOG_BYTES = 16 * 1024 * 1024
"""A log that is larger at a start is put aside as `.1`, replacing the one before."""


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a process is started, seen to be ready, and stopped.

    `prepare` runs before every start. `ready` returns when the process serves; None waits for the process to say so
    (see `bedside_cloud.readiness`). `after` runs once it is ready, before those that depend on it go on.
    """

    name: str
    command: Callable[[], list[str]]
    log_file: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    prepare: Callable[[], Awaitable[None]] = _nothing
    ready: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[None]] = _nothing


@dataclass(slots=True)
class Child:
    """Runs a plan for ever. `came_up` is set when it has served for the first time."""

    plan: Plan
    board: Board
    came_up: asyncio.Event = field(default_factory=asyncio.Event)
    _row: Row = field(init=False)
    _is_asked_to_restart: bool = False
    _process: asyncio.subprocess.Process | None = None

    def __post_init__(self) -> None:
        self._row = Row(self.plan.name)

    async def run(self) -> None:
        """Start, watch, start again. Cancelling stops the process cleanly and returns when it has ended."""
        deaths = 0
        try:
            while True:
                begun = time.monotonic()
                end = await self._one_life()
                if self._is_asked_to_restart:
                    self._is_asked_to_restart = False
                    continue
                deaths = deaths_in_a_row(deaths, time.monotonic() - begun)
                self._row.last_exit = end
                self._set(Phase.WAITING, None)
                await asyncio.sleep(pause_seconds(deaths))
                self._row.restarts += 1
        finally:
            await self._stop()
            self._set(Phase.STOPPED, None)

    async def restart(self) -> None:
        """Stop it cleanly and start it at once; returns when it serves again. It is no death."""
        self.came_up.clear()
        if self._process is not None:
            self._is_asked_to_restart = True
            await self._stop()
        await self.came_up.wait()

    def reload(self) -> None:
        """Have it read its configuration again, where it can (SIGHUP)."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def _one_life(self) -> str:
        try:
            await self.plan.prepare()
        except (OSError, OperatorError) as cause:
            return f"cannot be prepared: {cause}"
        async with listen_for_ready() as (address, said_ready):
            try:
                process = await self._start(address)
            except OSError as cause:
                return f"cannot be started: {cause}"
            self._process = process
            self._set(Phase.STARTING, process.pid)
            watch = asyncio.create_task(self._watch(process, said_ready))
            try:
                code = await process.wait()
            finally:
                # When we are cancelled here the process still lives; `_stop` ends it.
                watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                trouble = await watch
                if trouble:
                    self._process = None
                    return trouble
            self._process = None
            return _in_words(code)

    async def _watch(self, process: asyncio.subprocess.Process, said_ready: asyncio.Event) -> str:
        """Notice that the process serves. A failure here ends the process, and is returned in words."""
        try:
            await (self.plan.ready() if self.plan.ready else said_ready.wait())
            await self.plan.after()
        except Exception as cause:  # whatever failed (the database refused a role, say): no half-made start may stay
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return f"did not come up: {cause}"
        self._set(Phase.RUNNING, process.pid)
        self.came_up.set()
        return ""

    async def _start(self, notify_address: str) -> asyncio.subprocess.Process:
        with contextlib.suppress(FileNotFoundError):
            if self.plan.log_file.stat().st_size > LARGEST_LOG_BYTES:
                self.plan.log_file.replace(self.plan.log_file.with_suffix(".log.1"))
        descriptor = os.open(self.plan.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *self.plan.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env={**os.environ, NOTIFY_VARIABLE: notify_address},
                cwd="/",
                # Ctrl-C in the terminal is for the supervisor, which stops its children in their order.
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def _stop(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._set(Phase.STOPPING, process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.plan.stop_signal)
        try:
            async with asyncio.timeout(self.plan.stop_seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._process = None

    def _set(self, phase: Phase, pid: int | None) -> None:
        self._row.phase = phase
        self._row.pid = pid
        self.board.set(self._row)


def _in_words(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
