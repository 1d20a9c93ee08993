"""`bedside-agent run`: the service itself, which loads nothing that only the command line needs (20 MB of it)."""

import argparse
import asyncio
import logging
import os
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bedside_agent import settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.clock import SystemClock
from bedside_agent.errors import AgentError
from bedside_agent.logs import log_to_stderr
from bedside_agent.notify import Notifier
from bedside_agent.opening import IDENTITY
from bedside_agent.run import run_agent, stop_on_signals
from bedside_agent.uplink import pending
from bedside_agent.uplink.identity import Identity
from bedside_agent.wifi.hotspot import Hotspot
from bedside_agent.wifi.label import label_of
from bedside_profiles.errors import BedsideError
from bedside_profiles.readings import ClockQuality

STATE = Path("/var/lib/bedside")
STATE_VARIABLE = "BEDSIDE_AGENT_STATE"
SYSTEMD_VARIABLE = "INVOCATION_ID"
FAILED = 1

log = logging.getLogger(__name__)


def serve(state: Path, *, verbose: bool) -> None:
    """Read the devices, keep and send their readings, raise alarms, until SIGTERM or SIGINT. Errors come out."""
    log_to_stderr(verbose=verbose)
    loaded = settings.load(state)
    notifier = Notifier.from_environment(os.environ, os.getpid())

    async def until_stopped() -> None:
        stop = stop_on_signals()
        # Also, and above all, while it waits for the network that its enrolment needs.
        async with _asking_for_wifi(state, loaded):
            if await _is_enrolled(state, stop, notifier):
                await run_agent(state, memory_for(state), loaded, stop, notifier)

    asyncio.run(until_stopped())


@asynccontextmanager
async def _asking_for_wifi(state: Path, loaded: settings.Settings) -> AsyncIterator[None]:
    """A hub's own Wi-Fi while it has no network. Not for an agent that somebody started by hand on their computer."""
    if SYSTEMD_VARIABLE not in os.environ:
        yield
        return
    hotspot = Hotspot(lambda: label_of(state, loaded.hub_id), SystemClock(), loaded.language, loaded.hotspot_minutes)
    asking = asyncio.create_task(hotspot.run())
    asking.add_done_callback(_say_if_broken)
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.wait({asking})


def _say_if_broken(asking: "asyncio.Task[None]") -> None:
    """A fault in the asking stops nothing that measures."""
    if not asking.cancelled() and (fault := asking.exception()) is not None:
        # Without its words: they could quote what was sent.
        log.error("wifi.broken", extra={"reason": type(fault).__name__})


async def _is_enrolled(state: Path, stop: asyncio.Event, notifier: Notifier) -> bool:
    """Wait for an enrolment that was begun without a network; False when the agent is to stop before it is done."""
    if pending.kept(state) is None:
        return True
    notifier.ready()
    said = ["not enrolled yet"]

    def knows_time() -> bool:
        return SystemClock().now().quality is ClockQuality.SYNCED

    async def feed() -> None:
        while True:
            notifier.alive(said[0])
            await asyncio.sleep((notifier.watchdog_seconds or 60.0) / 4)

    def trying(reason: str) -> None:
        said[0] = f"not enrolled yet: {reason}"

    enrolling = asyncio.create_task(pending.complete(state, Identity(state / IDENTITY), knows_time, trying))
    waiting = asyncio.create_task(stop.wait())
    feeding = asyncio.create_task(feed())
    try:
        await asyncio.wait((enrolling, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not enrolling.done():
            return False
        enrolling.result()
        return True
    finally:
        for task in (enrolling, waiting, feeding):
            task.cancel()


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
