"""`bedside-agent doctor`: each fault is named in one line, and nothing else is."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.est_server import EstServer, est_server
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.readings import HUB

from bedside_agent.doctor import hub, machine, network
from bedside_agent.doctor.findings import Finding, Verdict
from bedside_agent.settings import first_text
from bedside_agent.uplink.identity import Identity
from bedside_profiles.readings import ClockQuality

CA = certificates.Authority()
FINE, WATCH, BROKEN, UNKNOWN = Verdict.FINE, Verdict.WATCH, Verdict.BROKEN, Verdict.UNKNOWN
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
WIRELESS = (
    "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n"
    " face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
    " wlan0: 0000   54.  {level}  -256        0      0      0      0      0        0\n"
)


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """A machine with these kernel files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def one_line(finding: Finding) -> None:
    """As a technician reads it out on the telephone."""
    assert "\n" not in finding.says + finding.fix
    assert finding.says
    assert bool(finding.fix) is (finding.verdict in (WATCH, BROKEN)) or finding.verdict is UNKNOWN


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({THROTTLED: "0\n"}, FINE),
        ({THROTTLED: "50000\n"}, WATCH),
        ({THROTTLED: "50005\n"}, BROKEN),
        ({THROTTLED: "4\n"}, BROKEN),
        ({THROTTLED: "garbage"}, UNKNOWN),
        ({"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}, BROKEN),
        ({"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n"}, FINE),
        ({}, UNKNOWN),
    ],
)
def test_power(tmp_path: Path, files: dict[str, str], verdict: Verdict) -> None:
    found = machine.power(tree(tmp_path, files))
    assert found.verdict is verdict
    one_line(found)


@pytest.mark.parametrize(
    ("files", "verdict", "word"),
    [
        ({}, FINE, "free"),
        ({"sys/fs/ext4/mmcblk0p2/errors_count": "0\n"}, FINE, "free"),
        ({"sys/fs/ext4/mmcblk0p2/errors_count": "3\n"}, BROKEN, "3 errors"),
        ({"sys/block/mmcblk0/device/life_time": "0x01 0x01\n"}, FINE, "free"),
        ({"sys/block/mmcblk0/device/life_time": "0x0a 0x0b\n"}, WATCH, "worn out"),
    ],
)
def test_disk(tmp_path: Path, files: dict[str, str], verdict: Verdict, word: str) -> None:
    found = machine.disk(tmp_path, tree(tmp_path, files))
    assert (found.verdict, word in found.says) == (verdict, True), found
    one_line(found)


def test_a_disk_that_is_not_there(tmp_path: Path) -> None:
    assert machine.disk(tmp_path / "nowhere", tmp_path).verdict is BROKEN


@pytest.mark.parametrize(
    ("files", "wanted", "verdict"),
    [
        ({}, True, BROKEN),
        ({}, False, FINE),
        ({"sys/class/bluetooth/hci0/x": ""}, True, FINE),
        ({"sys/class/bluetooth/hci0:64/x": ""}, True, BROKEN),
        (
            {
                "sys/class/bluetooth/hci0/x": "",
                "sys/class/rfkill/rfkill0/type": "bluetooth\n",
                "sys/class/rfkill/rfkill0/soft": "1\n",
                "sys/class/rfkill/rfkill0/hard": "0\n",
            },
            True,
            BROKEN,
        ),
    ],
)
def test_bluetooth(tmp_path: Path, files: dict[str, str], wanted: bool, verdict: Verdict) -> None:
    found = machine.bluetooth(wanted, tree(tmp_path, files))
    assert found.verdict is verdict
    one_line(found)


@pytest.mark.parametrize(
    ("level", "on_serial_line", "verdict", "word"),
    [
        (None, False, FINE, "not used"),
        ("-55.", False, FINE, "-55 dBm"),
        ("-82.", True, WATCH, "weak"),
        ("-55.", True, WATCH, "shares"),
    ],
)
def test_wifi(tmp_path: Path, level: str | None, on_serial_line: bool, verdict: Verdict, word: str) -> None:
    if level is not None:
        tree(tmp_path, {"proc/net/wireless": WIRELESS.format(level=level)})
    where = "sys/devices/platform/soc/fe201000.serial/hci0" if on_serial_line else "sys/devices/usb1/hci0"
    tree(tmp_path, {f"{where}/address": "", "sys/class/bluetooth/.keep": ""})
    (tmp_path / "sys/class/bluetooth/hci0").symlink_to(tmp_path / where)
    found = machine.wifi(tmp_path)
    assert (found.verdict, word in found.says) == (verdict, True), found
    one_line(found)


REPORT: dict[str, Any] = {
    "agent_version": "1.0",
    "connected_since_ms": 1,
    "last_error": "",
    "faults": [],
    "store_error": None,
    "waiting": {"readings": 0},
    "last_receipt_ms": 1,
    "devices": [{"device_id": "oximeter", "link": "connected"}],
    "clock": "synced",
}
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (hub.clock(ClockQuality.SYNCED, None), FINE),
        (hub.clock(ClockQuality.UNSYNCED, "synced"), WATCH),
        (hub.clock(ClockQuality.UNSYNCED, None), BROKEN),
        (hub.running(REPORT), FINE),
        (hub.running(None), BROKEN),
        (hub.running({**REPORT, "connected_since_ms": None}), BROKEN),
        (hub.running({**REPORT, "faults": ["cannot_alert_patient"]}), WATCH),
        (hub.buffer(REPORT, HOUR_MS), FINE),
        (hub.buffer(None, HOUR_MS), UNKNOWN),
        (hub.buffer({**REPORT, "waiting": {"readings": 7}}, 2), FINE),
        (hub.buffer({**REPORT, "waiting": {"readings": 7}}, HOUR_MS), WATCH),
        (hub.buffer({**REPORT, "store_error": "the disk refuses"}, HOUR_MS), BROKEN),
        (hub.devices(REPORT), FINE),
        (hub.devices({**REPORT, "devices": []}), UNKNOWN),
        (hub.devices({**REPORT, "devices": [{"device_id": "cuff", "link": "lost"}]}), WATCH),
    ],
)
def test_the_hub_itself(found: Finding, verdict: Verdict) -> None:
    assert found.verdict is verdict
    one_line(found)


def test_the_certificate(tmp_path: Path) -> None:
    identity = Identity(tmp_path / "identity")
    assert hub.certificate(identity, 0).verdict is BROKEN
    CA.write(identity.directory, CA.leaf(HUB))
    begin_ms, end_ms = identity.validity_ms()
    wanted = {begin_ms: FINE, end_ms - 11 * hub.DAY_MS: FINE, end_ms - 2 * hub.DAY_MS: WATCH, end_ms + 1: BROKEN}
    assert {at: hub.certificate(identity, at).verdict for at in wanted} == wanted
    assert hub.certificate(identity, None).verdict is UNKNOWN
    identity.key.write_bytes(CA.leaf("other").key_pem)
    assert hub.certificate(identity, begin_ms).verdict is BROKEN


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EstServer]:
    with est_server(CA, {}, tmp_path / "est") as running:
        yield running


def test_whether_the_certificate_could_be_renewed(server: EstServer, tmp_path: Path) -> None:
    identity = Identity(tmp_path / "identity")
    CA.write(identity.directory, CA.leaf(HUB))
    assert network.enrolment(f"https://localhost:{server.port}", identity, None).verdict is FINE
    for url in ("", f"https://localhost:{free_port()}"):
        found = network.enrolment(url, identity, None)
        assert found.verdict is BROKEN
        one_line(found)
    with est_server(certificates.Authority(), {}, tmp_path / "other") as other:
        assert network.enrolment(f"https://localhost:{other.port}", identity, None).verdict is BROKEN


@pytest.mark.mosquitto
def test_the_way_to_the_broker(tmp_path: Path) -> None:
    require_mosquitto()
    right, stranger = Identity(tmp_path / "right"), Identity(tmp_path / "stranger")
    CA.write(right.directory, CA.leaf(HUB))
    other = certificates.Authority()
    other.write(stranger.directory, other.leaf(HUB))
    (stranger.directory / "ca.pem").write_bytes(right.root.read_bytes())
    lost = Identity(tmp_path / "lost")
    other.write(lost.directory, other.leaf(HUB))
    broker = Mosquitto(tmp_path / "broker", CA)
    broker.start()
    try:
        assert network.broker("localhost", broker.port, right, None).verdict is FINE
        for identity, word in ((stranger, "refuses|does not know"), (lost, "does not prove")):
            found = network.broker("localhost", broker.port, identity, None)
            assert found.verdict is BROKEN
            assert any(one in found.says for one in word.split("|")), found
            one_line(found)
    finally:
        broker.stop()
    for found in (network.broker("localhost", free_port(), right, None), network.names("no-such-host.invalid")):
        assert found.verdict is BROKEN
        one_line(found)
    assert network.names("localhost").verdict is FINE


def ran(state: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-c", PROGRAM, "doctor", "--state", str(state), *options)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.mosquitto
async def test_a_running_hub_is_looked_at_from_head_to_foot(tmp_path: Path, server: EstServer) -> None:
    require_mosquitto()
    broker, state = Mosquitto(tmp_path / "broker", CA), tmp_path / "state"
    broker.start()
    CA.write(state / "identity", CA.leaf(HUB))
    text = first_text(HUB, "localhost", broker.port, "bluez", f"https://localhost:{server.port}")
    (state / "hub.toml").write_text(text + 'sound_command = "dd of=/dev/null status=none"\n')
    try:
        async with agent(state):
            await until(state, lambda report: report["connected_since_ms"] is not None)
            found = {one["check"]: one for one in json.loads(ran(state, "--json").stdout)}
    finally:
        broker.stop()
    assert list(found) == [
        *("clock", "power", "disk", "agent", "buffer", "devices"),
        *("dns", "broker", "certificate", "renewal", "bluetooth", "wi-fi"),
    ]
    assert {found[name]["verdict"] for name in ("disk", "broker", "renewal", "dns")} == {"fine"}
    said = ran(state)
    assert said.returncode == 1
    assert "it does not run" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 80


def test_a_computer_that_is_no_hub_yet(tmp_path: Path) -> None:
    said = ran(tmp_path)
    assert said.returncode == 1
    assert "bedside-agent init" in said.stdout
