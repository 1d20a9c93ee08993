"""What the running agent answers to the commands on the same machine, over a socket in the state directory.

One line of JSON asks for an operation, lines of JSON answer, and the end of the connection ends the answer. A socket
and not a file: it costs the SD card nothing, and it is gone with the agent. On a disk that cannot be written it stands
in the folder for what is kept in memory. Only the hub's own user and root can reach it.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from bedside_agent.errors import AgentError
from bedside_profiles.errors import BedsideError

SOCKET = "status.sock"
REFUSED, OPERATION = "refused", "operation"
TIMEOUT_SECONDS = 5.0
LONGEST_SOCKET_PATH = 100
"""The kernel's limit is 108 bytes here and 104 elsewhere."""

Report = dict[str, Any]


class NotRunningError(AgentError):
    """No agent runs on this state directory."""

    def __init__(self, state: Path) -> None:
        super().__init__(
            f"no agent runs on {state}",
            cause="it was not started, or it stopped",
            fix=f"bedside-agent run --state {state}, or journalctl -u bedside-agent",
        )


Operation = Callable[[Mapping[str, Any]], AsyncGenerator[Report, None]]
"""Takes the question's fields, and answers once or more often. BedsideError becomes a refusal in its words."""

REPORT = "report"
"""The operation that every agent has: one answer, how it is."""


@asynccontextmanager
async def answering(state: Path, memory: Path, operations: Mapping[str, Operation]) -> AsyncIterator[None]:
    """Answer everyone who asks while this is open: in `state`, or in `memory` where nothing can be made there."""

    under_way: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = await _question(reader)
            if question is not None:
                await _until_either(_written(_answers(operations, question), writer), reader.read(1))
        finally:
            writer.close()
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_despite_hanging_up(answer(reader, writer)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    with socket.socket(socket.AF_UNIX) as listening:
        path = _bind_somewhere(listening, state, memory)
        server = await asyncio.start_unix_server(begin, sock=listening)
        try:
            yield
        finally:
            server.close()
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            # On a disk that turned read-only meanwhile it stays, and nobody answers there.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


async def _question(reader: asyncio.StreamReader) -> Mapping[str, Any] | None:
    """None for whoever says nothing, or no question."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            question = json.loads(await reader.readline())
    except (ValueError, TimeoutError):
        return None
    return question if isinstance(question, dict) and isinstance(question.get(OPERATION), str) else None


async def _answers(operations: Mapping[str, Operation], question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
    operation = operations.get(question[OPERATION])
    if operation is None:
        yield {REFUSED: f"the running agent knows no {question[OPERATION]}: is it of another version?"}
        return
    try:
        async with aclosing(operation(question)) as reports:
            async for report in reports:
                yield report
    except BedsideError as refusal:
        yield {REFUSED: str(refusal)}


async def _written(answers: AsyncGenerator[Report, None], writer: asyncio.StreamWriter) -> None:
    async with aclosing(answers) as reports:
        async for report in reports:
            writer.write(json.dumps(report).encode() + b"\n")
            await writer.drain()


async def _despite_hanging_up(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(ConnectionError):
        await work


async def _until_either(*work: Coroutine[Any, Any, object]) -> None:
    """Who asked and went away is answered no further."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


def _bind_somewhere(listening: socket.socket, state: Path, memory: Path) -> Path:
    try:
        return _bind(listening, state)
    except OSError:
        memory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _bind(listening, memory)


def _bind(listening: socket.socket, directory: Path) -> Path:
    path = directory / SOCKET
    path.unlink(missing_ok=True)
    with _reachable(path) as address:
        listening.bind(address)
    path.chmod(0o600)
    return path


def ask(state: Path, memory: Path, operation: str = REPORT, **fields: object) -> Report:
    """The running agent's one answer; NotRunningError if there is none, AgentError if it refuses."""
    with closing(follow(state, memory, operation, fields)) as reports:
        for report in reports:
            return report
    raise NotRunningError(state)


def follow(
    state: Path,
    memory: Path,
    operation: str,
    fields: Mapping[str, object],
    *,
    patience_seconds: float = TIMEOUT_SECONDS,
) -> Generator[Report, None, None]:
    """Every answer as it comes, each within `patience_seconds` of the one before; errors as for `ask`."""
    question = json.dumps({OPERATION: operation, **fields}).encode() + b"\n"
    with _connected(state, memory) as asking:
        asking.settimeout(patience_seconds)
        try:
            asking.sendall(question)
            with asking.makefile("rb") as lines:
                for line in lines:
                    report: Report = json.loads(line)
                    if REFUSED in report:
                        raise AgentError(report[REFUSED])
                    yield report
        except OSError as cause:
            raise AgentError(f"the agent does not answer: {cause}", fix="journalctl -u bedside-agent") from cause


@contextmanager
def _connected(state: Path, memory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(TIMEOUT_SECONDS)
        try:
            _connect(asking, state)
        except NotRunningError:
            if not (memory / SOCKET).exists():
                raise
            _connect(asking, memory)
        yield asking


def _connect(asking: socket.socket, directory: Path) -> None:
    with _reachable(directory / SOCKET) as address:
        try:
            asking.connect(address)
        except OSError as cause:
            raise NotRunningError(directory) from cause


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """An address of the socket that is short enough, however deep the state directory lies."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield str(path)
        return
    try:
        directory = os.open(path.parent, os.O_RDONLY)
    except OSError as cause:
        raise NotRunningError(path.parent) from cause
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
