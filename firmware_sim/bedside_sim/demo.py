"""`bedside-sim demo`: the whole path on one machine, with the product's own commands.

Starts the cloud, enrols a hub with a one-time claim, starts the simulated devices and the real agent as processes of
their own, plays a desaturation, and waits until its alert stands in the console.
"""

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bedside_sim.console_client import ConsoleClient
from bedside_sim.control_client import control
from bedside_sim.demo_plan import RULES
from bedside_sim.errors import DemoError
from bedside_sim.household import LOGINS, Household
from bedside_sim.patients import Scenario
from bedside_sim.progress import Progress


class Until(StrEnum):
    """Where a demonstration may stop by itself."""

    FIRST_ALERT = "first-alert"


PLAYED = (
    (Scenario.DESATURATION, 90),
    (Scenario.RECOVERY, 90),
    (Scenario.STABLE, 60),
    (Scenario.HYPERTENSIVE_CRISIS, 90),
    (Scenario.STABLE, 120),
)
"""Scenario and seconds, over and over while somebody watches."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """`until` is None to go on until Ctrl-C; `state` is None for a folder that is removed at the end."""

    state: Path | None = None
    endpoints: Path | None = None
    seed: int = 1
    until: Until | None = None
    timeout_seconds: float | None = None


async def run_demo(settings: DemoSettings, progress: Progress) -> None:
    """Run until `until` or Ctrl-C (CancelledError); DemoError when it cannot go on. All that was started is stopped."""
    with _folder(settings.state) as state:
        household = Household(state, settings.seed, RULES, progress)
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                await household.start()
                if settings.endpoints is not None:
                    _write(settings.endpoints, household.described())
                await _watched(household, _play(household, settings, progress))
        except TimeoutError as cause:
            raise DemoError(
                f"Not done within {settings.timeout_seconds:g} s; it stopped at: {progress.current}.",
                household.where_to_look(),
            ) from cause
        finally:
            progress.step("Stopping")
            await household.stop()
            progress.done()


async def until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends, or until SIGINT or SIGTERM cancels it, which is a clean end."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        # A second Ctrl-C must not break off the stopping of what was started.
        if not interrupted:
            interrupted = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise


async def _watched(household: Household, playing: Coroutine[Any, Any, None]) -> None:
    """Play on; when one of the processes ends by itself, DemoError says which and why."""
    tasks = {asyncio.create_task(household.processes.watch()), asyncio.create_task(playing)}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _play(household: Household, settings: DemoSettings, progress: Progress) -> None:
    port = household.devices["control_port"]
    name = LOGINS[0][0]
    async with ConsoleClient(household.endpoints["gateway_url"]) as console:
        await console.log_in(name, household.known.passwords[name])
        progress.step("Waiting for the first reading in the console")
        await console.wait_for_reading()
        progress.step("Playing a desaturation; waiting for its alert in the console")
        await control(port, "scenario", name=Scenario.DESATURATION.value)
        progress.say_alert(await console.wait_for_alert())
    if settings.until is Until.FIRST_ALERT:
        return
    progress.say_where(household.endpoints["gateway_url"], household.page_url, household.known.passwords)
    while True:
        for scenario, seconds in PLAYED:
            await control(port, "scenario", name=scenario.value)
            progress.step(f"Playing: {scenario.value.replace('_', ' ')}. Ctrl-C stops everything")
            await asyncio.sleep(seconds)


def _write(file: Path, content: dict[str, Any]) -> None:
    """Whole and readable by its owner only: it holds passwords."""
    beside = file.with_name(file.name + ".new")
    beside.touch(mode=0o600)
    beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    beside.replace(file)


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    """The state folder, made if need be; one of our own is removed at the end, but kept after a failure."""
    if state is not None:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield state.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="bedside-demo-"))
    keep = False
    try:
        yield folder
    except DemoError:
        # Its logs are what tells why it failed.
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
