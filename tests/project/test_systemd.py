"""The units as systemd itself judges them, and the installation into a directory of its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.absent import absent

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
MOST_EXPOSED = 2.1
"""Of 10, by `systemd-analyze security`: a tenth of it for port 80."""


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        absent("the units, for want of systemd-analyze", "apt-get install systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_reads_the_units_without_a_complaint(tmp_path: Path) -> None:
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.path")):
        text = unit.read_text().replace("/opt/bedside/current/bin/bedside-agent run", "/bin/true")
        text = text.replace("/usr/local/lib/bedside/radio-repair", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    judged = systemd_analyze("verify", "--man=no", *map(str, sorted(tmp_path.glob("bedside*"))))
    complaints = [one for one in (judged.stdout + judged.stderr).splitlines() if "bedside" in one]
    assert complaints == []


def test_the_service_can_reach_little() -> None:
    judged = systemd_analyze(
        "security", "--offline=true", f"--threshold={round(MOST_EXPOSED * 10)}", str(UNITS / "bedside-agent.service")
    )
    assert judged.returncode == 0, judged.stdout
    assert "Overall exposure level" in judged.stdout


def install(wheel: Path, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BEDSIDE_ROOT": str(root), "PYTHON": sys.executable}
    return subprocess.run([UNITS / "install", wheel], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_an_upgrade_touches_nothing_that_the_hub_keeps(wheel: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = install(wheel, root)
    assert first.returncode == 0, first.stderr
    assert "bedside-agent init" in first.stdout
    current = root / "opt/bedside/current"
    before = current.readlink()
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.path")):
        assert (root / "etc/systemd/system" / unit.name).exists()
    for folder, rule in (
        ("usr/share/polkit-1/rules.d/60-bedside-wifi.rules", "60-bedside-wifi.rules"),
        ("etc/NetworkManager/dnsmasq-shared.d/bedside.conf", "bedside-hotspot.conf"),
    ):
        assert (root / folder).read_bytes() == (UNITS / rule).read_bytes()
    assert os.access(root / "usr/local/lib/bedside/radio-repair", os.X_OK)

    state = root / "var/lib/bedside"
    state.mkdir(parents=True, mode=0o700)
    (state / "hub.toml").write_text("hub_id = 3\n")
    kept = {path: path.read_bytes() for path in state.rglob("*")}
    newer = tmp_path / wheel.name
    with zipfile.ZipFile(shutil.copy(wheel, newer), "a") as more:
        more.comment = b"another build of the same version"
    refused = install(newer, root)
    assert refused.returncode == 1
    assert "the present one goes on" in refused.stderr
    assert "hub_id" in refused.stderr
    assert current.readlink() == before
    assert {path: path.read_bytes() for path in state.rglob("*")} == kept

    (state / "hub.toml").unlink()
    again = install(newer, root)
    assert again.returncode == 0, again.stderr
    assert current.readlink() != before
    assert before.exists(), "the version before stays"
    program = current / "bin/bedside-agent"
    assert "buffer" in subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


def test_what_cannot_be_installed_is_said(tmp_path: Path) -> None:
    missing = install(tmp_path / "none.whl", tmp_path / "root")
    assert missing.returncode == 1
    assert missing.stderr.startswith("Error: ")
    assert not (tmp_path / "root").exists()


REPAIRS = {
    "restart-bluetooth": ["restart hciuart.service", "restart bluetooth.service"],
    "reboot": ["reboot"],
}


@pytest.mark.parametrize(
    ("asked", "up_seconds", "done"),
    [
        (["restart-bluetooth"], 100, REPAIRS["restart-bluetooth"]),
        (["reboot"], 1500, REPAIRS["reboot"]),
        (["reboot"], 1499, []),
        (["restart-bluetooth", "reboot"], 9000, REPAIRS["restart-bluetooth"] + REPAIRS["reboot"]),
        (["remove-everything"], 9000, []),
        ([], 9000, []),
    ],
)
def test_the_hub_is_answered_and_nothing_else_is_done(
    tmp_path: Path, asked: list[str], up_seconds: int, done: list[str]
) -> None:
    """systemctl is a program of this test that writes down what it is told; a dongle's port is a file."""
    log, requests = tmp_path / "log", tmp_path / "run/requests"
    requests.mkdir(parents=True)
    for request in asked:
        (requests / request).touch()
    port = tmp_path / "sys/devices/usb1/1-1"
    (port / "1-1:1.0/bluetooth/hci0").mkdir(parents=True)
    (port / "authorized").write_text("1\n")
    (tmp_path / "sys/class/bluetooth").mkdir(parents=True)
    (tmp_path / "sys/class/bluetooth/hci0").symlink_to(port / "1-1:1.0/bluetooth/hci0")
    (port / "1-1:1.0/bluetooth/hci0/device").symlink_to(port / "1-1:1.0")
    (tmp_path / "uptime").write_text(f"{up_seconds}.25 99.00\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(f'#!/bin/sh\n[ "$1" = cat ] || echo "$*" >>{log}\n')
    (programs / "runuser").write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "BEDSIDE_RUN": str(tmp_path / "run"),
        "BEDSIDE_SYS": str(tmp_path / "sys"),
        "BEDSIDE_UPTIME": str(tmp_path / "uptime"),
    }
    subprocess.run([UNITS / "radio-repair"], env=environment, capture_output=True, check=True)
    assert (log.read_text().splitlines() if log.exists() else []) == done
    assert {path.name for path in requests.iterdir()} == set(asked) - set(REPAIRS)
    assert (port / "authorized").read_text() == "1\n"
