"""What a technician does with Wi-Fi on a terminal; D-Bus is real, NetworkManager simulated."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.support.agent_process import PROGRAM
from tests.support.bluez.bus import private_bus, require_dbus
from tests.support.networks.manager import Router, simulated_manager
from tests.support.readings import HUB

from bedside_agent.homepage.pairing import keep_code
from bedside_agent.settings import first_text
from bedside_agent.wifi.label import FILE, Label, label_of

PASSWORD = "tres tristes tigres"
CODE = "abcd-efgh-jkmn-2345"


async def bedside_agent(*arguments: str, said: str = "") -> tuple[int, str, str]:
    """Exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "wifi", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )
    output, errors = await process.communicate(said.encode())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_a_network_is_saved_beforehand_and_its_password_is_no_argument() -> None:
    require_dbus()
    with private_bus():
        async with simulated_manager(Router(b"Casa", PASSWORD), Router(b"Free", None, strength=20)) as air:
            code, output, errors = await bedside_agent("add", "Casa", "--json", said=f"{PASSWORD}\n")
            assert (code, json.loads(output)) == (0, {"ssid": "Casa", "saved": True}), errors
            (saved,) = air.saved
            assert saved.is_on_disk
            assert saved.profile["802-11-wireless-security"]["psk"].value == PASSWORD
            assert PASSWORD not in output + errors

            assert (await bedside_agent("add", "Free", "--open"))[0] == 0
            assert "802-11-wireless-security" not in air.saved[1].profile
            assert (await bedside_agent("add", "Quiet", "--hidden", said=PASSWORD))[0] == 0
            assert air.saved[2].profile["802-11-wireless"]["hidden"].value is True

            code, output, errors = await bedside_agent("add", "Casa", said="short\n")
            assert (code, output, len(air.saved)) == (1, "", 3)
            assert "at least 8 letters" in errors
            assert "Try: " in errors
            assert (await bedside_agent("add", "Casa", PASSWORD))[0] == 2, "a password as an argument is refused"

            listed = json.loads((await bedside_agent("list", "--json"))[1])
            assert listed == {
                "heard": [
                    {"ssid": "Casa", "strength": 70, "is_protected": True},
                    {"ssid": "Free", "strength": 20, "is_protected": False},
                ],
                "saved": ["Casa", "Free", "Quiet"],
            }
            assert json.loads((await bedside_agent("forget", "Free", "--json"))[1]) == {
                "ssid": "Free",
                "forgotten": True,
            }
            assert [one.profile["connection"]["id"].value for one in air.saved] == ["Casa", "Quiet"]
            code, _, errors = await bedside_agent("forget", "Free")
            assert (code, "bedside-agent wifi list" in errors) == (1, True)

            shown = (await bedside_agent("list"))[1]
            assert "Quiet" in shown
            assert "not heard" in shown


async def test_without_networkmanager_it_says_what_to_do() -> None:
    require_dbus()
    with private_bus():
        code, _, errors = await bedside_agent("list")
    assert code == 1
    assert "Error: NetworkManager does not run" in errors
    assert "Try: systemctl enable --now NetworkManager" in errors


async def test_the_hubs_own_wifi_is_shown(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(first_text(HUB, "localhost", 1, "bluez"))
    keep_code(tmp_path, CODE)
    code, output, errors = await bedside_agent("show", "--state", str(tmp_path), "--json")
    label = label_of(tmp_path, HUB)
    assert (code, json.loads(output)) == (
        0,
        {"ssid": label.ssid, "password": CODE, "page": "http://10.42.0.1/"},
    ), errors
    shown = (await bedside_agent("show", "--state", str(tmp_path)))[1]
    assert CODE in shown
    assert "after 5 minutes without a network" in shown
    assert not (tmp_path / FILE).exists()


def test_a_hub_without_a_label_keeps_a_password_of_its_own(tmp_path: Path) -> None:
    first = label_of(tmp_path, HUB)
    assert label_of(tmp_path, HUB) == first
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert 8 <= len(first.password) <= 63
    other = label_of(tmp_path, f"{HUB}-2")
    assert (other.ssid != first.ssid, other.password) == (True, first.password)
    assert first.ssid.startswith("Bedside-")
    assert len(first.ssid) == len("Bedside-XXXX")


def test_the_code_that_a_camera_reads_names_network_and_password() -> None:
    assert Label("Bedside-ABCD", CODE).qr_text() == f"WIFI:T:WPA;S:Bedside-ABCD;P:{CODE};;"
