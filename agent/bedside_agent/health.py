"""How the running agent is, for `bedside-agent status`: a socket in the state directory that answers with JSON.

A socket and not a file: it costs the SD card nothing, and it is gone with the agent. On a disk that cannot be written
it stands in the folder for what is kept in memory.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bedside_agent.errors import AgentError

SOCKET = "status.sock"
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


@asynccontextmanager
async def answering(state: Path, memory: Path, report: Callable[[], Report]) -> AsyncIterator[None]:
    """Answer everyone who asks while this is open: in `state`, or in `memory` where nothing can be made there."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(report()).encode())
            await writer.drain()
        writer.close()

    with socket.socket(socket.AF_UNIX) as listening:
        path = _bind_somewhere(listening, state, memory)
        server = await asyncio.start_unix_server(answer, sock=listening)
        try:
            yield
        finally:
            server.close()
            # On a disk that turned read-only meanwhile it stays, and nobody answers there.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


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


def ask(state: Path, memory: Path) -> Report:
    """The running agent's report; NotRunningError if there is none."""
    try:
        return _ask(state)
    except NotRunningError:
        if not (memory / SOCKET).exists():
            raise
        return _ask(memory)


def _ask(state: Path) -> Report:
    answer = b""
    with _reachable(state / SOCKET) as address, socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(TIMEOUT_SECONDS)
        try:
            asking.connect(address)
            while piece := asking.recv(65536):
                answer += piece
        except OSError as cause:
            raise NotRunningError(state) from cause
    report: Report = json.loads(answer)
    return report


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
