"""`bedside-agent run`: the service itself, which loads nothing that only the command line needs (20 MB of it)."""

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bedside_agent import settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.errors import AgentError
from bedside_agent.logs import log_to_stderr
from bedside_agent.notify import Notifier
from bedside_agent.run import run_agent, stop_on_signals
from bedside_profiles.errors import BedsideError

STATE = Path("/var/lib/bedside")
STATE_VARIABLE = "BEDSIDE_AGENT_STATE"
FAILED = 1


def serve(state: Path, *, verbose: bool) -> None:
    """Read the devices, keep and send their readings, raise alarms, until SIGTERM or SIGINT. Errors come out."""
    log_to_stderr(verbose=verbose)
    loaded = settings.load(state)
    notifier = Notifier.from_environment(os.environ, os.getpid())

    async def until_stopped() -> None:
        await run_agent(state, memory_for(state), loaded, stop_on_signals(), notifier)

    asyncio.run(until_stopped())


def main(arguments: Sequence[str]) -> int:
    """The arguments after `run`; the exit code. An error is said in words, with its traceback when verbose."""
    parser = argparse.ArgumentParser("bedside-agent run", add_help=False)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get(STATE_VARIABLE, STATE)))
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        serve(asked.state, verbose=asked.verbose)
    except Exception as error:  # the last one who can say what happened
        failed = as_agent_error(error)
        if failed is None:
            raise
        if asked.verbose:
            traceback.print_exc()
        sys.stderr.write(f"{failed.in_words()}\n")
        return FAILED
    return 0


def as_agent_error(error: Exception) -> AgentError | None:
    """What to tell a technician; None for a fault of the program, which wants its traceback."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, ExceptionGroup):
        return AgentError("; ".join(f"{type(one).__name__}: {one}" for one in error.exceptions))
    if isinstance(error, BedsideError | OSError | ImportError | ValueError):
        return AgentError(str(error) or type(error).__name__)
    return None
