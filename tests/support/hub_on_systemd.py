"""A hub that was installed by the project's own script on a machine with systemd; wheels that are good and bad."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import certificates
from tests.support.booted import Machine, Result
from tests.support.clock import ManualClock
from tests.support.readings import HUB, alarm, reading

from bedside_agent import health
from bedside_agent.buffer.contents import LANES
from bedside_agent.buffer.records import Record
from bedside_agent.buffer.store import Store
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.health import NotRunningError
from bedside_agent.settings import add_device, first_text
from bedside_profiles.wire.topics import UpLane

ROOT = Path(__file__).parents[2]
SERVICE = "bedside-agent.service"
RETRY = "bedside-agent-retry.service"
STATE = "/var/lib/bedside"
SOURCES = "/srv/bedside"
CREDENTIAL = "/etc/credstore.encrypted/bedside.buffer-key"
PYTHON = "/usr/bin/python3"
"""The system's own, as on a hub."""
SETTLE_SECONDS = "1"

Export = dict[UpLane, list[Record]]

OXIMETER = """
import asyncio, os, shutil
from pathlib import Path
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial import nonin_df2
from bedside_sim.pty import SerialLine
said = nonin_df2.encode([Measurement(metric, value, Modality.CONTINUOUS)
    for metric, value in ((Metric.SPO2, 97), (Metric.PULSE_RATE, 72))])
async def speak():
    line = SerialLine(Path("/dev/ttyUSB0"))
    # As udev leaves a serial adapter: for root and the group dialout.
    os.chmod("/dev/ttyUSB0", 0o660)
    shutil.chown("/dev/ttyUSB0", group="dialout")
    while True:
        await line.write(said)
        await asyncio.sleep(0.2)
asyncio.run(speak())
"""


def build_wheel(folder: Path, version: str, additions: Mapping[str, str]) -> Path:
    """The project's wheel as that version, with text added to the end of some of its modules."""
    tree = folder / version
    for name in ("agent", "cloud", "device_profiles", "firmware_sim"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    project = tree / "pyproject.toml"
    lines = [
        f'version = "{version}"' if one.startswith("version = ") else one for one in project.read_text().split("\n")
    ]
    project.write_text("\n".join(lines))
    for name, text in additions.items():
        with (tree / name).open("a") as module:
            module.write(text)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=tree, capture_output=True, check=True)
    shutil.rmtree(tree)
    (wheel,) = folder.glob(f"bedside-{version}-*.whl")
    return wheel


class Hub:
    """The installed hub. Commands run as its own user unless they say otherwise."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.state = machine.root / STATE.lstrip("/")
        # What the registry would answer: the locked packages, held to their hashes.
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        its_python = machine.run(PYTHON, "-c", "import sys; print(*sys.version_info[:2], sep='.')").strip()
        wanted = ["--python-version", its_python, "--only-binary=:all:"]
        lock = ["--requirement", str(ROOT / "systemd/agent.lock"), "--dest", str(folder)]
        subprocess.run([*fetch, *wanted, *lock], check=True, capture_output=True)
        shutil.copytree(folder, self.wheelhouse)
        shutil.copytree(ROOT / "systemd", self._sources / "systemd")

    @property
    def _sources(self) -> Path:
        return self.machine.root / SOURCES.lstrip("/")

    @property
    def wheelhouse(self) -> Path:
        """The packages that the lock names."""
        return self._sources / "wheelhouse"

    def install(self, wheel: Path, units: str = "systemd") -> Result:
        """Run the install script as root, as a technician does; the packages come from a folder."""
        shutil.copy(wheel, self._sources)
        environment = {
            "PYTHON": PYTHON,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{SOURCES}/wheelhouse",
            "BEDSIDE_SETTLE_SECONDS": SETTLE_SECONDS,
        }
        return self.machine.try_(f"{SOURCES}/{units}/install", f"{SOURCES}/{wheel.name}", **environment)

    def other_units(self, name: str, old: str, new: str) -> str:
        """A copy of the folder with units in which one text of the agent's unit is another; its name."""
        shutil.copytree(ROOT / "systemd", self._sources / name)
        unit = self._sources / name / SERVICE
        text = unit.read_text()
        assert old in text
        unit.write_text(text.replace(old, new))
        return name

    def enrol(self, folder: Path) -> None:
        """What `init` and the hub's life before leave behind: identity, settings, an open key, readings that wait."""
        authority = certificates.Authority()
        authority.write(folder / "identity", authority.leaf(HUB))
        quiet = 'sound_command = "dd of=/dev/null status=none"\n'
        (folder / "hub.toml").write_text(first_text(HUB, "localhost", 1, "bluez") + quiet)
        add_device(folder, DeviceEntry("nonin-1", "serial.nonin_df2", port="/dev/ttyUSB0"))
        asyncio.run(_fill(folder))
        shutil.copytree(folder, self.state, dirs_exist_ok=True)
        self.machine.run("chown", "-R", "bedside:bedside", STATE)
        self.machine.run("chmod", "0700", STATE)

    def agent(self, *arguments: str) -> str:
        """`bedside-agent …`; its output. It must succeed."""
        return self.machine.run("runuser", "-u", "bedside", "--", "bedside-agent", *arguments)

    def try_agent(self, *arguments: str) -> Result:
        """`bedside-agent …`, whatever comes of it."""
        return self.machine.try_("runuser", "-u", "bedside", "--", "bedside-agent", *arguments)

    def status(self) -> dict[str, Any] | None:
        """What the running agent says of itself; None when none runs."""
        try:
            return health.ask(self.state, memory_for(self.state))
        except NotRunningError:
            return None

    def until_running(self) -> dict[str, Any]:
        """The first report of a running agent."""
        return self.machine.until(self.status, "the agent answers")

    def stats(self) -> dict[str, Any]:
        """`buffer stats`."""
        found: dict[str, Any] = json.loads(self.agent("buffer", "stats", "--json"))
        return found

    def export(self) -> Export:
        """Everything that is kept, oldest first."""
        found: Export = {lane: [] for lane in LANES}
        for line in self.agent("buffer", "export", "--format", "jsonl").splitlines():
            one = json.loads(line)
            found[UpLane(one["lane"])].append(one)
        return found

    def still_has(self, kept: Export) -> bool:
        """Whether all of that is kept, unchanged and in its place; there may be more."""
        return all(now[: len(kept[lane])] == kept[lane] for lane, now in self.export().items())

    def drop_in(self, unit: str, text: str) -> None:
        """Settings of a unit that hold until the next start of the machine, or until `no_drop_ins`."""
        folder = f"/run/systemd/system/{unit}.d"
        self.machine.run("sh", "-c", 'mkdir -p "$1"; printf %s "$2" >"$1/test.conf"', "sh", folder, text)
        self.machine.run("systemctl", "daemon-reload")

    def no_drop_ins(self) -> None:
        """The units as they were installed."""
        self.machine.run("sh", "-c", "rm -rf /run/systemd/system/bedside-*.d")
        self.machine.run("systemctl", "daemon-reload")

    @contextmanager
    def speaking_oximeter(self) -> Iterator[None]:
        """A serial oximeter that says something five times a second."""
        command = self.machine.command("/opt/bedside/current/bin/python", "-c", OXIMETER)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.kill()

    def uid(self) -> int:
        """The hub's user inside."""
        return int(self.machine.run("id", "-u", "bedside"))


async def _fill(folder: Path) -> None:
    store = await Store.open(folder / "buffer.db", ManualClock())
    await store.append_readings([reading(90 + number % 10, seq=0) for number in range(500)])[1]
    await store.append_alarm(alarm(seq=0))[1]
    await store.close()
