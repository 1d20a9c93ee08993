"""A whole small installation with the product's own commands: cloud, one patient, devices, one hub.

The demonstration plays on it, tests break it. Everything is a process of its own, and everything that was started is
stopped with `stop`.
"""

import asyncio
import json
import secrets
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bedside_profiles.rules.thresholds import ThresholdRule
from bedside_profiles.wire.fields import to_map
from bedside_sim.errors import DemoError
from bedside_sim.processes import Processes, Running, ask, command, tell
from bedside_sim.progress import Silent

HUB_ID = "hub-demo"
LOGINS = (("nurse", "nurse"), ("physician", "physician"), ("tech", "tech"))
"""Name and role of the people who can log in."""

HOPELESS = 6
"""Restarts of one process before everything is up: a slow machine needs one or two."""

MRN = "DEMO-1"
CARE_TEAM = ("nurse", "physician")


@dataclass(slots=True)
class Known:
    """What a resumed installation must know of its first run; kept in `household.json`, mode 0600."""

    seed: int
    passwords: dict[str, str] = field(default_factory=dict)
    patient_id: str = ""
    hci_port: int = 0
    page_port: int = 0
    provisioned: bool = False
    enrolled: bool = False


class Household:
    """One installation below `state`. Each step may be run again on a state that has it already."""

    def __init__(self, state: Path, seed: int, rules: tuple[ThresholdRule, ...], progress: Silent) -> None:
        self.state = state
        self.cloud_state = state / "cloud"
        self.hub_state = state / "hub"
        self.journal = state / "devices" / "journal.jsonl"
        for folder in (state / "logs", self.journal.parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.processes = Processes(state / "logs")
        self.known = _load(state / "household.json", seed)
        self.endpoints: dict[str, Any] = {}
        self.devices: dict[str, Any] = {}
        self._rules = rules
        self._progress = progress

    async def start(self, *, broker: str | None = None) -> None:
        """Everything up and the hub at work. `broker` is HOST:PORT if the hub is to reach the broker some other way."""
        await self.start_cloud()
        await self.provision()
        await self.start_devices()
        await self.enrol(broker)
        await self.start_hub()

    async def start_cloud(self) -> Running:
        """The cloud, with every service serving; fills `endpoints`."""
        self._progress.step("Starting the cloud: broker, database, services")
        arguments = [command("bedside-cloud"), "up", "--headless", "--state", str(self.cloud_state)]
        cloud = await self.processes.start("cloud", arguments)
        status = self.cloud_state / "status.json"
        while not (status.exists() and _ready(status, cloud.process.pid)):
            if not cloud.alive or _keeps_dying(status, cloud.process.pid):
                raise DemoError("The cloud does not start.", f"Its last lines:\n{cloud.tail()}")
            await asyncio.sleep(0.1)
        self.endpoints = await self.ask_cloud("endpoints")
        return cloud

    async def provision(self) -> None:
        """People, a patient with an active episode and limits, as a technician does it; once."""
        if self.known.provisioned:
            return
        self._progress.step("Adding people, a patient and a care plan")
        for name, role in LOGINS:
            password = self.known.passwords.setdefault(name, secrets.token_urlsafe(9))
            await self.tell_cloud("person", "add", name, "--role", role, "--password-stdin", stdin=password + "\n")
        patient = await self.ask_cloud("patient", "add", "Demo Patient", "--birth-date", "1948-05-17", "--mrn", MRN)
        self.known.patient_id = patient["patient_id"]
        rules = self.state / "rules.json"
        rules.write_text(json.dumps([to_map(rule) for rule in self._rules]), encoding="utf-8")
        await asyncio.gather(
            *(self.tell_cloud("patient", "team", MRN, name) for name in CARE_TEAM),
            self.tell_cloud("plan", "set", MRN, "--rules", str(rules), "--emergency-number", "112"),
        )
        await self.tell_cloud("patient", "episode", MRN, "planned")
        await self.tell_cloud("patient", "episode", MRN, "active")
        self.known.provisioned = True
        self._save()

    async def start_devices(self) -> None:
        """The patient's devices; fills `devices` with their ports and ids."""
        self._progress.step("Starting the simulated devices")
        running = await self.processes.start(
            "devices",
            [
                *(command("bedside-sim"), "devices", "--journal", str(self.journal)),
                *("--pty", str(self.journal.parent / "nonin"), "--seed", str(self.known.seed)),
                *("--hci-port", str(self.known.hci_port), "--control-port", "0", "--prefix", "demo"),
            ],
        )
        self.devices = await _announced(running)
        # The hub's settings name this port: it stays the same for the life of the installation.
        self.known.hci_port = self.devices["hci_port"]
        self._save()

    async def enrol(self, broker: str | None = None) -> None:
        """The hub gets its certificate with a one-time claim, serves the patient, and knows its devices; once."""
        if self.known.enrolled:
            return
        self._progress.step("Enrolling the hub with a one-time claim")
        self.known.page_port = free_port()
        ticket = await self.ask_cloud("fleet", "claim", "new", "--hub-id", HUB_ID)
        claim = ticket["text"].replace(f"broker={ticket['broker']}", f"broker={broker or ticket['broker']}")
        radio = f"bumble:tcp-client:127.0.0.1:{self.known.hci_port}"
        await ask(command("bedside-agent"), "init", "--claim", claim, "--radio", radio, "--json", *self._hub_options)
        # A simulated hub has no loudspeaker; this one plays to nobody, and works.
        with (self.hub_state / "hub.toml").open("a", encoding="utf-8") as settings:
            settings.write('sound_command = "dd of=/dev/null status=none"\n')
            settings.write(f'homepage = "127.0.0.1:{self.known.page_port}"\n')
        self._progress.step("Adding the devices to the hub, and the hub to the patient")
        await self.tell_cloud("patient", "hub", MRN, HUB_ID)
        await asyncio.gather(
            self._add_devices(),
            *(self.tell_cloud("assign", device["device_id"], MRN) for device in self.devices["devices"]),
        )
        self.known.enrolled = True
        self._save()

    async def _add_devices(self) -> None:
        for device in self.devices["devices"]:
            where = [f"--{name}={device[name]}" for name in ("address", "port") if device.get(name)]
            wanted = ("--waveform",) if device.get("waveform") else ()
            arguments = ("device", "add", device["device_id"], "--profile", device["profile"], *where, *wanted)
            await ask(command("bedside-agent"), *arguments, "--json", *self._hub_options)

    async def start_hub(self) -> Running:
        """The real agent."""
        self._progress.step("Starting the hub")
        return await self.processes.start("hub", [command("bedside-agent"), "run", *self._hub_options])

    async def ask_cloud(self, *arguments: str) -> Any:
        """What `bedside-cloud` answers, as JSON."""
        return await ask(command("bedside-cloud"), *arguments, "--json", "--state", str(self.cloud_state))

    async def tell_cloud(self, *arguments: str, stdin: str = "") -> None:
        """Have `bedside-cloud` do something; DemoError with its own words if it refuses."""
        await tell(command("bedside-cloud"), *arguments, "--state", str(self.cloud_state), stdin=stdin)

    @property
    def _hub_options(self) -> tuple[str, str]:
        return ("--state", str(self.hub_state))

    @property
    def page_url(self) -> str:
        """The patient's page of this hub."""
        return f"http://127.0.0.1:{self.known.page_port}/"

    def where_to_look(self) -> str:
        """For whoever must find out why something did not work."""
        return f"The logs are in {self.state / 'logs'} and {self.cloud_state / 'logs'}."

    def described(self) -> dict[str, Any]:
        """Addresses and log-ins, for programs that test or watch the installation."""
        return {
            **self.endpoints,
            "hub_ids": [HUB_ID],
            "logins": [{"name": name, "password": self.known.passwords[name], "role": role} for name, role in LOGINS],
            "patient_ids": [self.known.patient_id],
            "journal": str(self.journal),
            "page_url": self.page_url,
            "control_port": self.devices["control_port"],
            "state": str(self.state),
        }

    async def stop(self) -> None:
        """Stop everything, hub first, cloud last."""
        await self.processes.stop()

    def _save(self) -> None:
        file = self.state / "household.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self.known), indent=2) + "\n", encoding="utf-8")


def free_port() -> int:
    """A port of this machine's own that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _load(file: Path, seed: int) -> Known:
    return Known(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Known(seed)


def _ready(status: Path, supervisor_pid: int) -> bool:
    content = json.loads(status.read_text(encoding="utf-8"))
    return bool(content["ready"]) and content["supervisor_pid"] == supervisor_pid


def _keeps_dying(status: Path, supervisor_pid: int) -> bool:
    """Whether some process of this cloud has died so often that waiting is no use."""
    if not status.exists():
        return False
    content = json.loads(status.read_text(encoding="utf-8"))
    hopeless = any(row["restarts"] >= HOPELESS for row in content["processes"])
    return hopeless and content["supervisor_pid"] == supervisor_pid


async def _announced(running: Running) -> dict[str, Any]:
    """What the devices say once they are there; their log may hold an earlier run's word."""
    while True:
        for line in reversed(running.said().splitlines()):
            if line.startswith('{"ready"'):
                announced: dict[str, Any] = json.loads(line)
                return announced
        if not running.alive:
            raise DemoError("The simulated devices did not start.", f"Their last lines:\n{running.tail()}")
        await asyncio.sleep(0.05)
