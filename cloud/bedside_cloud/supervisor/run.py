"""Composition root of `bedside-cloud up`: engines first, then services; the other way round at the end."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.engines.launch import wrapped
from bedside_cloud.errors import OperatorError
from bedside_cloud.supervisor.board import Board, Screen
from bedside_cloud.supervisor.child import Child, Plan
from bedside_cloud.supervisor.rotation import rotate
from bedside_cloud.supervisor.state import State, locked

STATUS_FILE = "status.json"


async def up(
    directory: Path,
    screen: Screen,
    *,
    listen: str | None = None,
    names: tuple[str, ...] = (),
    on_ready: Callable[[State], None],
) -> None:
    """Run everything until SIGINT or SIGTERM; OperatorError when the state is in use or cannot be made.

    `directory` is absolute.
    """
    with locked(directory, "Starting"):
        state = State.make(directory, listen, names)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        board = Board(directory / STATUS_FILE, screen)
        try:
            async with running(engines(state), board) as first:
                if not await _all_up(first, stopped):
                    return
                async with running(services(state), board) as second:
                    if not await _all_up(second, stopped):
                        return
                    board.ready(True)
                    on_ready(state)
                    await _serve(state, board, {child.plan.name: child for child in first}["broker"], second, stopped)
                    board.ready(False)
        finally:
            stopped.cancel()
            (directory / STATUS_FILE).unlink(missing_ok=True)


def engines(state: State) -> tuple[Plan, ...]:
    """PostgreSQL and the broker."""
    postgres, broker, logs = state.postgres, state.broker, state.directory / "logs"
    return (
        Plan(
            name="postgres",
            command=postgres.command,
            log_file=logs / "postgres.log",
            # Fast shutdown: sessions are ended, the log is written out. SIGTERM would wait for sessions to leave.
            stop_signal=signal.SIGINT,
            stop_seconds=30,
            prepare=_in_thread(postgres.prepare),
            ready=_until(postgres.answers),
            after=_in_thread(lambda: postgres.provision(SERVICES, state.database_passwords)),
        ),
        Plan(
            name="broker",
            command=broker.command,
            log_file=logs / "broker.log",
            prepare=_in_thread(lambda: broker.prepare(SERVICES, state.broker_secrets)),
            ready=_until(broker.answers),
        ),
    )


def services(state: State) -> tuple[Plan, ...]:
    """Every service of the map that owns a schema, as often as the map says."""
    plans = []
    for entry in SERVICES:
        if entry.schema is None:
            continue
        for number in range(1, entry.replicas + 1):
            instance = entry.name if entry.replicas == 1 else f"{entry.name}-{number}"
            plans.append(_service(state, entry.name, instance))
    return tuple(plans)


def _service(state: State, service: str, instance: str) -> Plan:
    module = "bedside_cloud.supervisor.service"
    command = [sys.executable, "-m", module, service, instance, str(state.directory)]
    return Plan(
        name=instance,
        command=lambda: wrapped(command, death_signal="TERM"),
        log_file=state.directory / "logs" / f"{instance}.log",
    )


@asynccontextmanager
async def running(plans: tuple[Plan, ...], board: Board) -> AsyncIterator[tuple[Child, ...]]:
    """The plans as running children; all are stopped, at once, when the block ends."""
    children = tuple(Child(plan, board) for plan in plans)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(child.run(), name=child.plan.name) for child in children]
        try:
            yield children
        finally:
            for task in tasks:
                task.cancel()


async def _serve(
    state: State, board: Board, broker: Child, services: tuple[Child, ...], stopped: asyncio.Task[bool]
) -> None:
    """Until told to stop; with new keys for the services each time that SIGUSR1 asks for them."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, asked.set)

    async def rotations() -> None:
        while True:
            await asked.wait()
            asked.clear()
            board.rotating()
            try:
                await rotate(state, broker, services)
            except (OperatorError, OSError, psycopg.Error) as error:
                board.rotated(str(error))
            else:
                board.rotated()

    rotating = asyncio.create_task(rotations())
    await asyncio.wait((stopped, rotating), return_when=asyncio.FIRST_COMPLETED)
    rotating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rotating


async def _all_up(children: tuple[Child, ...], stopped: asyncio.Task[bool]) -> bool:
    """Wait until every child has served once; False when told to stop before."""
    everybody = asyncio.ensure_future(asyncio.gather(*(child.came_up.wait() for child in children)))
    await asyncio.wait((everybody, stopped), return_when=asyncio.FIRST_COMPLETED)
    if everybody.done():
        return not stopped.done()
    everybody.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await everybody
    return False


def _until(answers: Callable[[], bool]) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        # Another process has no event that we could wait for.
        while not await asyncio.to_thread(answers):
            await asyncio.sleep(0.05)

    return wait


def _in_thread(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await asyncio.to_thread(work)

    return run
