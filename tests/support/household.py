"""A whole installation for journeys: the cloud, a patient's devices and the real agent, each as processes of their own.

A module that wants one asks for `household` and says `pytestmark = pytest.mark.asyncio(loop_scope="module")`; one that
breaks more than it can mend opens its own with `running_household`. Whatever a test did to it, everything is stopped.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rich.console import Console

from bedside_profiles.rules.thresholds import ThresholdRule
from bedside_sim.control_client import control
from bedside_sim.demo_plan import RULES
from bedside_sim.household import Household
from bedside_sim.processes import Running
from bedside_sim.progress import Progress

START_SECONDS = 120.0
"""For everything to be up on a machine that others use as well; a quiet one needs 20."""

PATIENCE_SECONDS = 30.0

QUICK_RULES = tuple(replace(rule, onset_delay_ms=2_000, clear_delay_ms=500) for rule in RULES)
"""The demonstration's limits with shorter delays: a test waits for an alert, it does not watch a patient."""


class RunningHousehold(Household):
    """A household that can be hurt. Everything of `Household` stands open as well."""

    async def control(self, do: str, **arguments: object) -> dict[str, Any]:
        """Steer the simulated devices (`bedside_sim.control.COMMANDS`)."""
        return await control(self.devices["control_port"], do, **arguments)

    @property
    def url(self) -> str:
        """Where the console is."""
        return str(self.endpoints["gateway_url"])

    @property
    def patient_id(self) -> str:
        """The only patient at first."""
        return self.known.patient_id

    def password(self, name: str) -> str:
        """Of a person who can log in."""
        return self.known.passwords[name]

    def status(self) -> dict[str, Any]:
        """What the cloud's supervisor says of its processes; empty while there is none."""
        try:
            content: dict[str, Any] = json.loads((self.cloud_state / "status.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return content

    def row(self, name: str) -> dict[str, Any]:
        """One supervised process of the cloud: `name`, `pid`, `phase`, `restarts`."""
        return next((row for row in self.status().get("processes", ()) if row["name"] == name), {})

    def started(self, name: str) -> Running:
        """The newest of the processes `cloud`, `devices` and `hub`; LookupError when it was never started."""
        return self.processes.newest(name)

    async def kill(self, name: str) -> None:
        """SIGKILL `hub`, `devices`, or one of the cloud's processes, and wait until it is dead.

        The cloud's supervisor starts its own again by itself; a hub or devices stay dead until they are started.
        """
        if name in ("cloud", "hub", "devices"):
            process = self.started(name).process
            process.kill()
            await process.wait()
            return
        before = self.row(name)
        os.kill(before["pid"], signal.SIGKILL)
        await self.until(lambda: self.row(name) != before, f"the end of {name}")

    async def kill_and_wait(self, name: str) -> None:
        """SIGKILL one of the cloud's processes and wait until the supervisor has it serving again."""
        restarts = self.row(name)["restarts"]
        await self.kill(name)
        await self.until(
            lambda: self.row(name)["phase"] == "running" and self.row(name)["restarts"] > restarts,
            f"the restart of {name}",
        )

    async def until(
        self, holds: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait for something that other processes do; AssertionError names it, and the logs, when it does not come."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    held = holds()
                    if held if isinstance(held, bool) else await held:
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError as cause:
            raise AssertionError(f"{what} did not come within {seconds:g} s. {self.where_to_look()}") from cause

    def logs(self) -> dict[Path, str]:
        """All that any process logged."""
        folders = (self.state / "logs", self.cloud_state / "logs")
        files = [file for folder in folders for file in sorted(folder.glob("*.log"))]
        return {file: file.read_text(encoding="utf-8", errors="replace") for file in files}


@asynccontextmanager
async def running_household(
    state: Path, *, seed: int = 1, rules: tuple[ThresholdRule, ...] = QUICK_RULES, start: bool = True
) -> AsyncIterator[RunningHousehold]:
    """A household below `state`, with the patient stable and readings on their way; nothing is left when it ends.

    With `start` False the test takes the steps itself (`start_cloud`, `provision`, …), for example with a broker that
    can be cut off between `enrol` and the cloud.
    """
    steps = (state / "steps.log").open("w", encoding="utf-8")
    household = RunningHousehold(state, seed, rules, Progress(Console(file=steps, width=200), animated=False))
    with steps:
        try:
            if start:
                async with asyncio.timeout(START_SECONDS):
                    await household.start()
            yield household
        finally:
            # Shielded, because a cancelled test must not break off the stopping either.
            await asyncio.shield(asyncio.ensure_future(household.stop()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def household(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningHousehold]:
    """One for a whole module: its tests find what the ones before them left, and set what they need."""
    async with running_household(tmp_path_factory.mktemp("household")) as running:
        yield running
