"""Debian's own NetworkManager, without a Wi-Fi card: it takes our profiles, and describes the simulated one.

A card cannot be simulated here: that needs a kernel with mac80211_hwsim.
"""

import asyncio
import os
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dbus_fast.service import ServiceInterface
from tests.support.absent import absent
from tests.support.avahi import network, require_avahi
from tests.support.bluez.bus import VARIABLE, private_bus, require_dbus
from tests.support.networks import manager as simulated

from bedside_agent.wifi.bus import AbsentError, BusError, on_system_bus
from bedside_agent.wifi.label import Label
from bedside_agent.wifi.network_manager import NAME, UNIT, NetworkManager, network_manager
from bedside_agent.wifi.profiles import hotspot
from bedside_agent.wifi.setting_up import Choice

DESCRIPTIONS = Path("/usr/share/dbus-1/interfaces")
WAIT_SECONDS, STOP_SECONDS = 20.0, 10.0
CONFIGURATION = "[main]\nplugins=keyfile\ndhcp=internal\nauth-polkit=root-only\n[keyfile]\npath={folder}\n"
PASSWORD = "tres tristes tigres"


@contextmanager
def real_manager(folder: Path) -> Iterator[Path]:
    """NetworkManager on the present bus, in a network of its own; where it keeps its profiles."""
    if shutil.which("NetworkManager", path="/usr/sbin:/usr/bin") is None:
        absent("the profiles, by NetworkManager itself", "apt-get install network-manager")
    require_avahi()
    kept, configuration = folder / "kept", folder / "NetworkManager.conf"
    kept.mkdir(mode=0o700)
    configuration.write_text(CONFIGURATION.format(folder=kept))
    # Its files have fixed places, so that it has a /run and a /var of its own.
    places = "/run/NetworkManager /var/lib/NetworkManager /etc/NetworkManager"
    begin = (
        f"for one in {places}; do mkdir -p $one && mount -t tmpfs tmpfs $one; done;"
        f" exec NetworkManager --no-daemon --config={configuration}"
    )
    with network("10.78.0.1") as (namespace,), (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "unshare", "--mount", "sh", "-c", begin],
            env={**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}", VARIABLE: os.environ[VARIABLE]},
            stdout=log,
            stderr=log,
        )
        try:
            end = time.monotonic() + WAIT_SECONDS
            while not asyncio.run(_answers()):
                assert daemon.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < end, (folder / "log").read_text()
                time.sleep(0.1)
            yield kept
        finally:
            daemon.terminate()
            daemon.wait(STOP_SECONDS)


async def _answers() -> bool:
    try:
        async with network_manager() as manager:
            await manager.facts()
    except AbsentError:
        return False
    return True


def test_it_takes_our_profiles_and_keeps_the_homes_alone(tmp_path: Path) -> None:
    require_dbus()
    with private_bus(), real_manager(tmp_path) as kept:
        asyncio.run(_profiles(kept))


async def _profiles(kept: Path) -> None:
    async with network_manager() as manager:
        facts = await manager.facts()
        assert (facts.has_wifi, facts.is_configured, facts.has_hotspot) == (False, False, False)
        await manager.add(Choice("Casa", PASSWORD))
        await manager.add(Choice("Café", "", is_hidden=True))
        assert sorted(await manager.saved()) == ["Café", "Casa"]
        assert (await manager.facts()).is_configured
        files = await asyncio.to_thread(lambda: {one.name: one.stat().st_mode & 0o777 for one in kept.iterdir()})
        assert set(files.values()) == {0o600}
        assert await manager.forget("Casa")
        assert not await manager.forget("Casa")
        assert await manager.saved() == ["Café"]
        await manager.add(Choice("Casa", PASSWORD))
        with pytest.raises(BusError, match="no Wi-Fi that NetworkManager drives"):
            await manager.networks()
        with pytest.raises(BusError, match="no Wi-Fi that NetworkManager drives"):
            await manager.open_hotspot(Label("Bedside-ABCD", "abcd-efgh-jkmn-2345"))
    await _hotspot_is_a_profile()


async def _hotspot_is_a_profile() -> None:
    """It is taken without a complaint, is no network to join, and goes again."""
    async with on_system_bus(NAME, UNIT) as service:
        profile = hotspot(Label("Bedside-ABCD", "abcd-efgh-jkmn-2345"))
        path, settings = f"/{NAME.replace('.', '/')}/Settings", f"{NAME}.Settings"
        await service.call(path, settings, "AddConnectionUnsaved", "a{sa{sv}}", profile)
        manager = NetworkManager(service)
        assert sorted(await manager.saved()) == ["Café", "Casa"]
        (before,) = await service.call(path, settings, "ListConnections")
        await manager.close_hotspot()
        (after,) = await service.call(path, settings, "ListConnections")
        assert len(before) - len(after) == 1


def members(interface: ElementTree.Element) -> dict[str, tuple[str, ...]]:
    """Of each method, signal and property the types, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for one in interface:
        if one.tag == "property":
            found[f"property {one.get('name')}"] = (one.get("type", ""),)
        elif one.tag in ("method", "signal"):
            arguments = [
                f"{'' if one.tag == 'signal' else argument.get('direction', 'in')} {argument.get('type')}"
                for argument in one.findall("arg")
            ]
            found[f"{one.tag} {one.get('name')}"] = (*arguments,)
    return found


AIR = simulated.Air.__new__(simulated.Air)
SIMULATED: tuple[ServiceInterface, ...] = (
    simulated.Manager(AIR),
    simulated.Device(),
    simulated.Wireless(AIR),
    simulated.AccessPoint(simulated.Router(b"", None)),
    simulated.Active({}),
    simulated.Saved(AIR, "/", {}, is_on_disk=False),
    simulated.SettingsService(AIR),
)


@pytest.mark.parametrize("made", SIMULATED, ids=lambda made: str(made.name))
def test_the_simulated_one_has_the_real_ones_members(made: ServiceInterface) -> None:
    path = DESCRIPTIONS / f"{made.name}.xml"
    if not path.exists():
        absent("the simulated NetworkManager against the real one", "apt-get install network-manager-dev")
    described = ElementTree.parse(path).getroot().find("interface")  # noqa: S314 - a file of the system's own
    assert described is not None
    real, ours = members(described), members(made.introspect().to_xml())
    assert ours
    assert {name: real.get(name) for name in ours} == ours
