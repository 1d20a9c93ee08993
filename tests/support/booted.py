"""A real systemd as the first process of a small machine: what units and the install script really do, in a second.

The machine is a set of namespaces (processes, mounts, network, control groups) over this machine's own /usr, with its
own /etc, /var, users, journal and no network but its loopback. Not as on a hub: no kernel of its own, no memory, CPU
and task limits where their controllers belong to the older hierarchy, and no OOM score below its parent's.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.support.absent import absent

BOOT = Path(__file__).with_suffix(".sh")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
"""As sudo has it."""
WAIT_SECONDS = 60.0

T = TypeVar("T")
Result = subprocess.CompletedProcess[str]


class Machine:
    """A booted machine.

    `root` is its tree as this process sees it, for plain reading and writing: absolute links in it lead out of it, and
    what resolves the path itself (SQLite, pip, `Path.resolve`) ends up outside.
    """

    def __init__(self, pid: int) -> None:
        self.root = Path(f"/proc/{pid}/root")
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        self._inside = ["nsenter", "--target", str(pid), *spaces, "--"]

    def command(self, *arguments: str, **environment: str) -> list[str]:
        """What runs those arguments inside, as root."""
        names = [f"{name}={value}" for name, value in environment.items()]
        return [*self._inside, "env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", *names, *arguments]

    def try_(self, *arguments: str, **environment: str) -> Result:
        """Run it inside as root, whatever comes of it."""
        command = self.command(*arguments, **environment)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run it inside as root; its output. It must succeed."""
        result = self.try_(*arguments, **environment)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}\n{self.journal()}"
        return result.stdout

    def show(self, unit: str) -> dict[str, str]:
        """The unit's properties, empty ones included, as `systemctl show --all` prints them."""
        return dict(line.partition("=")[::2] for line in self.run("systemctl", "show", "--all", unit).splitlines())

    def journal(self, *matches: str) -> str:
        """The messages of the journal, a line each."""
        found = self.try_("journalctl", "--no-pager", "--output=json", "--all", *matches)
        return "\n".join(str(json.loads(line).get("MESSAGE")) for line in found.stdout.splitlines())

    def until(self, look: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
        """The first thing that `look` finds; AssertionError with the journal when it finds none in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"never: {what}\n{self.journal()}")


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """A booted machine, what it must keep on a disk in `folder`; nothing of it runs or is mounted afterwards."""
    _require()
    group = _control_groups() / f"bedside-test-{os.getpid()}-{folder.name}"
    root, disk = folder / "root", folder / "disk"
    root.mkdir()
    disk.mkdir()
    group.mkdir()
    # Whoever ends this process ends the machine: setpriv for the first of the chain, unshare for the rest.
    start = 'echo $$ >"$1/cgroup.procs" && shift && exec setpriv --pdeathsig KILL "$@"'
    spaces = ["unshare", "--fork", "--kill-child=KILL", "--propagation=private"]
    spaces += [f"--{one}" for one in ("pid", "mount", "uts", "ipc", "net", "cgroup")]
    with (folder / "console.log").open("wb") as console:
        first = subprocess.Popen(
            ["sh", "-c", start, "sh", group, *spaces, BOOT, root, disk],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            machine = Machine(_first_process_inside(first, folder / "console.log"))
            machine.until(
                lambda: machine.try_("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"),
                "the machine has booted",
            )
            yield machine
        finally:
            first.kill()
            first.wait()
            _remove(group)


def _first_process_inside(first: subprocess.Popen[bytes], console: Path) -> int:
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end and first.poll() is None:
        for pid in children.read_text().split():
            name = Path(f"/proc/{pid}/comm")
            if name.exists() and name.read_text() == "systemd\n":
                return int(pid)
        time.sleep(0.02)
    raise AssertionError(f"systemd did not start: {console.read_text()}")


def _require() -> None:
    what = "the units under a real systemd"
    if os.geteuid() != 0:
        absent(what, "run the suite as root, which may make namespaces and mounts")
    for program in ("unshare", "nsenter", "setpriv", "pivot_root", "ip", "dbus-daemon"):
        if shutil.which(program) is None:
            absent(f"{what}, for want of {program}", "apt-get install util-linux iproute2 dbus")
    if not Path("/lib/systemd/systemd").exists():
        absent(f"{what}, for want of systemd", "apt-get install systemd")
    if not list(Path("/usr/lib").glob("python3.*/ensurepip")):
        absent(f"{what}, for want of the system's Python environments", "apt-get install python3-venv")


def _control_groups() -> Path:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = [Path(place) for _, place, kind, *_ in mounts if kind == "cgroup2"]
    if not found:
        absent("the units under a real systemd, for want of cgroup2", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    return found[0]


def _remove(group: Path) -> None:
    """The killed processes leave within moments; a group that holds one cannot be removed."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            for inner in sorted((one for one in group.rglob("*") if one.is_dir()), reverse=True):
                inner.rmdir()
            group.rmdir()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
