"""The whole agent on a computer without a network, as systemd starts it: it measures, and asks for Wi-Fi beside it."""

import asyncio
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

from tests.agent.test_agent_process import NONIN, keep_plan, prepare
from tests.support.agent_process import PROGRAM, until
from tests.support.avahi import avahi, network, require_avahi, resolved
from tests.support.bluez.bus import private_bus, require_dbus
from tests.support.mosquitto import free_port
from tests.support.networks.manager import Air, Router, simulated_manager
from tests.support.ptys import serial_line, speak
from tests.support.readings import HUB

from bedside_agent.wifi.label import label_of
from bedside_agent.wifi.profiles import HOTSPOT_ADDRESS, hotspot

PASSWORD = "tres tristes tigres"
ASK = (
    "import sys, urllib.request as ask; data = sys.argv[2].encode() or None;"
    "print(ask.urlopen(sys.argv[1], data, timeout=10).read().decode())"
)


@asynccontextmanager
async def started(namespace: str, state: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent in that network."""
    with (state / "agent.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", namespace, sys.executable, "-c", PROGRAM, "run", "--state", str(state)),
            stdout=log,
            stderr=log,
            env={**os.environ, "INVOCATION_ID": "0123456789abcdef"},
        )
    try:
        await until(state, lambda report: True)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def ask(namespace: str, url: str, **form: str) -> str:
    """What a telephone in that network reads, in the end."""
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace, sys.executable, "-c", ASK, url, urlencode(form)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    return said.decode()


async def page_at(namespace: str, url: str, sentence: str) -> str:
    """The page there, as soon as it says this."""
    async with asyncio.timeout(30):
        while sentence not in (said := await ask(namespace, url)):
            await asyncio.sleep(0.1)
    return said


def left_behind(air: Air, state: Path) -> None:
    """The hub's own network is up already, so that this test need not wait for minutes: an agent before was killed."""
    air.activate(air.keep(hotspot(label_of(state, HUB)), is_on_disk=False))


async def test_readings_and_alarms_go_on_while_it_asks_for_wifi(tmp_path: Path) -> None:
    require_dbus()
    require_avahi()
    state = tmp_path / "state"
    state.mkdir()
    prepare(state, free_port(), tmp_path / "nonin")
    settings = state / "hub.toml"
    settings.write_text(f'homepage = "0.0.0.0:80"\n{settings.read_text()}')
    await keep_plan(state)
    with network(HOTSPOT_ADDRESS) as (here,), private_bus(), serial_line(tmp_path / "nonin") as line:
        async with simulated_manager(Router(b"Casa", PASSWORD)) as air:
            left_behind(air, state)
            async with started(here, state) as process:
                page = await page_at(here, f"http://{HOTSPOT_ADDRESS}/", "Which Wi-Fi is yours?")
                assert "Your monitor" in await ask(here, "http://127.0.0.1/"), "the patient's page stands beside it"
                assert page == await ask(here, f"http://{HOTSPOT_ADDRESS}/generate_204")

                await speak(line, 83, 3, pulse=127)
                await until(state, lambda report: bool(report["alarms"] and report["waiting"]["readings"]))
                assert air.hotspot is not None
                await speak(line, 96, 3)

                said = await ask(here, f"http://{HOTSPOT_ADDRESS}/join", ssid="Casa", password=PASSWORD)
                assert "now tries Casa" in said
                async with asyncio.timeout(30):
                    while not [one for one in air.saved if one.is_on_disk]:
                        await asyncio.sleep(0.1)
                before = (await until(state, lambda report: True))["waiting"]["readings"]
                await speak(line, 96, 3)
                await until(state, lambda report: report["waiting"]["readings"] > before)
                bundle = tmp_path / "bundle.tar.gz"
                made = await asyncio.create_subprocess_exec(
                    *(
                        sys.executable,
                        "-c",
                        PROGRAM,
                        "bundle",
                        "--state",
                        str(state),
                        "--output",
                        str(bundle),
                        "--json",
                    ),
                    stdout=asyncio.subprocess.PIPE,
                )
                assert json.loads((await made.communicate())[0])["bytes"] > 0
                process.terminate()
                assert await process.wait() == 0
    assert air.passwords == [PASSWORD]
    kept = await asyncio.to_thread(everything, state, bundle)
    assert NONIN.encode() in kept
    assert b"wifi.settled" in kept
    assert b"tigres" not in kept, "the home's password is NetworkManager's alone"


@asynccontextmanager
async def taken(namespace: str, port: int) -> AsyncIterator[None]:
    """Another program listens on that port there."""
    listen = (
        f"import socket, time; one = socket.create_server(('', {port})); print('taken', flush=True); time.sleep(600)"
    )
    other = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace, sys.executable, "-c", listen), stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"taken\n"
    try:
        yield
    finally:
        other.kill()
        await other.wait()


async def test_the_page_says_its_own_address_also_where_its_port_is_taken(tmp_path: Path) -> None:
    require_dbus()
    require_avahi()
    state = tmp_path / "state"
    state.mkdir()
    prepare(state, free_port(), tmp_path / "nonin")
    settings = state / "hub.toml"
    settings.write_text(f'homepage = "0.0.0.0:80"\n{settings.read_text()}')
    with network("10.77.0.1") as (here,), private_bus(), avahi(here, tmp_path / "avahi", "raspberrypi"):
        async with started(here, state):
            report = await until(state, lambda report: bool(report["page"]))
            assert report["page"] == "http://bedside.local/"
            assert "The address of this page: http://bedside.local/<" in await ask(here, "http://10.77.0.1/")
            assert await resolved("bedside.local") == "10.77.0.1"
        async with taken(here, 80), started(here, state):
            report = await until(state, lambda report: bool(report["page"]))
            assert report["page"] == "http://bedside.local:8080/"
            assert "http://bedside.local:8080/" in await ask(here, "http://10.77.0.1:8080/?lang=es")
            paired = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM, "page", "pair", "--json", "--state", str(state)),
                stdout=asyncio.subprocess.PIPE,
            )
            url = json.loads((await paired.communicate())[0])["url"]
            assert url.startswith("http://bedside.local:8080/?pair=")


def everything(state: Path, bundle: Path) -> bytes:
    """All files below, the log among them, and of the archive."""
    found = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    with tarfile.open(bundle) as archive:
        found += [file.read() for one in archive if (file := archive.extractfile(one)) is not None]
    return b"\n".join(found)
