"""Debian's own avahi-daemon, one in a network of its own for each hub; the networks hang together by a cable (veth)."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.absent import absent
from tests.support.bluez.bus import VARIABLE

from bedside_agent.wifi.bus import on_system_bus
from bedside_agent.wifi.mdns import AVAHI, UNIT

STOP_SECONDS = 10.0
WAIT_SECONDS = 20.0

CONFIGURATION = """\
[server]
host-name={name}
use-ipv4=yes
use-ipv6=no
enable-dbus=yes
[publish]
publish-hinfo=no
publish-workstation=no
"""


def require_avahi() -> None:
    """Fail in CI, skip loudly elsewhere, where no avahi-daemon can be run."""
    if shutil.which("avahi-daemon", path="/usr/sbin:/usr/bin") is None or shutil.which("ip") is None:
        absent("the page's name, by Avahi itself", "apt-get install avahi-daemon iproute2")
    if os.geteuid() != 0:
        absent("the page's name, by Avahi itself", "run the suite as root, which may make networks")


@contextmanager
def network(*addresses: str) -> Iterator[tuple[str, ...]]:
    """Names of network namespaces with these addresses, in one network with each other."""
    names = [f"bedside-{os.getpid()}-{place}" for place in range(len(addresses))]
    hall = f"bedside-{os.getpid()}-hall"
    try:
        for name in (hall, *names):
            _ip("netns", "add", name)
        _ip("-n", hall, "link", "add", "br0", "type", "bridge")
        _ip("-n", hall, "link", "set", "br0", "up")
        for place, (name, address) in enumerate(zip(names, addresses, strict=True)):
            _ip(
                *("-n", hall, "link", "add", f"port{place}", "type", "veth"),
                *("peer", "name", "wlan0", "netns", name),
            )
            _ip("-n", hall, "link", "set", f"port{place}", "master", "br0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "addr", "add", f"{address}/24", "brd", "+", "dev", "wlan0")
            _ip("-n", name, "link", "set", "wlan0", "up")
        yield (*names,)
    finally:
        for name in (hall, *names):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def interface(namespace: str) -> int:
    """The number of the hub's interface in its namespace."""
    said = _ip("-n", namespace, "-o", "link", "show", "wlan0")
    return int(said.partition(":")[0])


@contextmanager
def avahi(namespace: str, folder: Path, host_name: str) -> Iterator[None]:
    """A daemon there, on the present system bus, as long as the block runs."""
    folder.mkdir()
    configuration = folder / "avahi.conf"
    configuration.write_text(CONFIGURATION.format(name=host_name))
    # Its process file has a fixed place, so that each has a /run of its own.
    inside = "mount -t tmpfs tmpfs /run/avahi-daemon && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f"
    place = f"mkdir -p /run/avahi-daemon && {inside} {configuration}"
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "unshare", "--mount", "sh", "-c", place],
            env={**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}", VARIABLE: os.environ[VARIABLE]},
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + WAIT_SECONDS
        while "startup complete" not in (said := (folder / "log").read_text()):
            assert daemon.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.05)
        yield
    finally:
        daemon.terminate()
        daemon.wait(STOP_SECONDS)


async def resolved(name: str) -> str:
    """The address that a telephone in the home finds for the name, asked of the daemon on the present system bus."""
    async with on_system_bus(AVAHI, UNIT) as service:
        answer: list[Any] = await service.call(
            *("/", f"{AVAHI}.Server", "ResolveHostName", "iisiu"), *(-1, 0, name, 0, 0)
        )
    return str(answer[4])


def _ip(*arguments: str) -> str:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"ip {' '.join(arguments)}: {result.stderr}"
    return result.stdout
