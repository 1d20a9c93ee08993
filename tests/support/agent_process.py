"""The agent as it is started on a hub: a process of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bedside_agent import health
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.errors import AgentError

WAIT_SECONDS = 20.0
PROGRAM = "from bedside_agent.main import main; main()"


@asynccontextmanager
async def agent(
    state: Path, program: str = PROGRAM, *, log: Path | None = None, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    with (log or state / "agent.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, "run", "--state", str(state)),
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )
    try:
        await until(state, lambda report: True)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(state: Path, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first report of the running agent for which the condition holds."""
    last: object = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                try:
                    last = report = await asyncio.to_thread(health.ask, state, memory_for(state))
                    if condition(report):
                        return report
                except AgentError:
                    pass
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{last}\n{(state / 'agent.log').read_text()}") from None
