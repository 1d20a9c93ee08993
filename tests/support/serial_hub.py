"""One more hub of an installation: a real agent with a serial oximeter, that can be killed, damaged and asked."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.big_store import build_big_store
from tests.support.household import RunningHousehold
from tests.support.ptys import serial_line, speak

from bedside_agent.buffer.inspection import viewed
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.opening import BUFFER
from bedside_agent.settings import add_device
from bedside_sim.processes import ask, command, tell
from bedside_sim.pty import SerialLine

QUIET = 'sound_command = "dd of=/dev/null status=none"\n'


class SerialHub:
    """`said` is what its oximeter said, in order: (SpO2, pulse). No two of a hub are the same pair in a row."""

    def __init__(self, household: RunningHousehold, hub_id: str, line: SerialLine, port: Path) -> None:
        self.hub_id = hub_id
        self.device_id = f"{hub_id}-oximeter"
        self.state = household.state / hub_id
        self.said: list[tuple[int, int]] = []
        self._filled = 0
        self._household = household
        self._line = line
        self._port = port

    async def enrol(self, *settings: str) -> None:
        """With a one-time claim, as a technician does it; `settings` are further lines of its `hub.toml`."""
        await self._init()
        with (self.state / "hub.toml").open("a", encoding="utf-8") as file:
            file.write(QUIET + "reconnect_spread_seconds = 1\n" + "".join(f"{one}\n" for one in settings))
        add_device(self.state, DeviceEntry(self.device_id, "serial.nonin_df2", port=str(self._port)))

    async def enrol_again(self) -> None:
        """The agent may be running: it takes the new certificate at its next attempt to connect."""
        answer = await self._init("--again")
        assert not answer["already_enrolled"]

    async def _init(self, *options: str) -> dict[str, Any]:
        ticket = await self._household.ask_cloud("fleet", "claim", "new", "--hub-id", self.hub_id)
        told = ("--claim", ticket["text"], *options, "--json", *self._options)
        return dict(await ask(command("bedside-agent"), "init", *told))

    def fill(self, readings: int) -> None:
        """Give it a backlog, as of a long time without a network; before its first start."""
        build_big_store(self.state / BUFFER, readings, at_once=2_000, device_id=self.device_id)
        self._filled = readings

    async def start(self) -> None:
        """Every start opens a store of its own."""
        await self._household.processes.start(self.hub_id, [command("bedside-agent"), "run", *self._options])

    async def stop(self) -> None:
        """Cleanly, once all that was said is on its disk: what is still on the line never was the hub's."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL, and else as `stop`."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        await self._household.until(self.has_all, f"what {self.hub_id} was told")
        process = self._household.started(self.hub_id).process
        process.send_signal(how)
        await process.wait()

    def destroy_header(self) -> None:
        """The agent must not run: its next start salvages the file."""
        with (self.state / BUFFER).open("r+b") as file:
            file.write(bytes(100))

    async def say(self, spo2: int, seconds: int = 1) -> None:
        """One pair of readings a second, as fast as the line goes."""
        for _ in range(seconds):
            pulse = 40 + len(self.said) % 150
            await speak(self._line, spo2, 1, pulse=pulse)
            self.said.append((spo2, pulse))

    def has_all(self) -> bool:
        """Whether all that was said is in its buffer."""
        return kept_readings(self.state) == self._filled + 2 * len(self.said)

    @property
    def _options(self) -> tuple[str, str]:
        return ("--state", str(self.state))


def kept_readings(state: Path) -> int:
    """How many readings a hub's buffer holds."""
    with viewed(state / BUFFER) as view:
        return view.counts().lanes["readings"].stored


async def exported(state: Path) -> list[dict[str, Any]]:
    """All that a hub keeps, as a technician gets it, oldest first."""
    text = await tell(command("bedside-agent"), "buffer", "export", "--format", "jsonl", "--state", str(state))
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def serial_hub(household: RunningHousehold, hub_id: str) -> Iterator[SerialHub]:
    """A hub that is not enrolled yet; its line is unplugged at the end."""
    port = household.state / f"{hub_id}.tty"
    with serial_line(port) as line:
        yield SerialHub(household, hub_id, line, port)
