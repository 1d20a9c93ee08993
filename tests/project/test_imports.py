"""The import contracts are exhaustive, and each one fails when it is broken."""

import ast
import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "bedside_agent": "agent",
    "bedside_cloud": "cloud",
    "bedside_profiles": "device_profiles",
    "bedside_sim": "firmware_sim",
}

BREAKS = {
    "meet-on-the-wire": ("bedside_agent/errors.py", "import bedside_cloud.errors"),
    "profiles-inside": ("bedside_profiles/errors.py", "import bedside_profiles.readings"),
    "services-meet-on-the-bus": ("bedside_cloud/ingest/ranges.py", "import bedside_cloud.alerting.lifecycle"),
    "cloud-inside": ("bedside_cloud/bus/errors.py", "import bedside_cloud.ingest.ranges"),
    "agent-inside": ("bedside_agent/buffer/ranges.py", "import bedside_agent.uplink.backoff"),
    "sim-inside": ("bedside_sim/patients.py", "import bedside_sim.world"),
    "only-codec-msgpack": ("bedside_profiles/wire/topics.py", "import msgpack"),
    "only-radio-bleak": ("bedside_agent/errors.py", "import bleak"),
    "only-bluez-watch-dbus": ("bedside_agent/errors.py", "import dbus_fast"),
    "only-bumble-central-bumble": ("bedside_agent/errors.py", "import bumble"),
    "only-tty-port-pyserial": ("bedside_agent/errors.py", "import serial"),
    "only-route-happy-eyeballs": ("bedside_agent/errors.py", "import aiohappyeyeballs"),
    "only-connection-mqtt": ("bedside_agent/errors.py", "import paho"),
    "only-buffer-sqlite": ("bedside_agent/errors.py", "import sqlite3"),
    "only-est-http": ("bedside_agent/errors.py", "import http.client"),
    "only-trust-cryptography": ("bedside_agent/errors.py", "import cryptography"),
    "only-gpio-lamp-gpiod": ("bedside_agent/errors.py", "import gpiod"),
    "only-bus-nats": ("bedside_cloud/errors.py", "import nats"),
    "only-keys-nkeys": ("bedside_cloud/errors.py", "import nkeys"),
    "only-certificates-cryptography": ("bedside_cloud/errors.py", "import cryptography"),
    "only-gateway-http": ("bedside_cloud/errors.py", "import fastapi"),
    "only-tokens-jose": ("bedside_cloud/errors.py", "import joserfc"),
    "only-passwords-argon2": ("bedside_cloud/errors.py", "import argon2"),
    "only-virtual-radio-bumble": ("bedside_sim/errors.py", "import bumble"),
}
"""Contract → a file and the import that breaks it."""


def contracts() -> dict[str, str]:
    """Contract id → the sentence that it is."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {name.removeprefix(prefix): parser[name]["name"] for name in parser.sections() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages side by side, away from the installed ones."""
    folder = tmp_path_factory.mktemp("sources")
    for package, source in SOURCES.items():
        shutil.copytree(ROOT / source / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def broken(folder: Path) -> set[str]:
    """Sentences of the contracts that do not hold in `folder`."""
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    result = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "400", "PYTHONPATH": str(folder)},
    )
    assert "Contracts: " in result.stdout, result.stdout + result.stderr
    return set(re.findall(r"^(.*) BROKEN(?: \(.*\))?$", result.stdout, re.MULTILINE))


def test_every_contract_has_a_break() -> None:
    assert set(BREAKS) == set(contracts())


def test_unbroken_they_all_hold(copy: Path) -> None:
    assert broken(copy) == set()


@pytest.mark.parametrize("contract", sorted(BREAKS))
def test_a_broken_contract_fails(copy: Path, contract: str) -> None:
    name, statement = BREAKS[contract]
    file = copy / name
    before = file.read_text()
    file.write_text(f"{before}\n{statement}\n")
    try:
        assert contracts()[contract] in broken(copy)
    finally:
        file.write_text(before)


def test_a_stray_module_fails(copy: Path) -> None:
    sentences = contracts()
    for package, contract in (
        ("bedside_agent", "agent-inside"),
        ("bedside_cloud", "cloud-inside"),
        ("bedside_profiles", "profiles-inside"),
        ("bedside_sim", "sim-inside"),
    ):
        stray = copy / package / "stray.py"
        stray.write_text("")
        try:
            assert sentences[contract] in broken(copy)
        finally:
            stray.unlink()


def test_the_profiles_need_only_the_standard_library() -> None:
    allowed = {*sys.stdlib_module_names, "bedside_profiles"}
    for path in sorted((ROOT / "device_profiles").rglob("*.py")):
        found = {name.partition(".")[0] for name in imported(path)}
        extra = found - allowed
        assert extra == ({"msgpack"} if path.name == "codec.py" else set()), path.name


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names
