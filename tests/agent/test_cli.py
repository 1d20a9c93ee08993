"""The commands as a technician types them."""

import contextlib
import io
import json
import sqlite3
import sys
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.est_server import est_server
from tests.support.readings import HUB

from bedside_agent import trust
from bedside_agent.buffer.database import Database
from bedside_agent.cli import main
from bedside_agent.settings import first_text
from bedside_agent.uplink.claim import parse_claim

CA = certificates.Authority()


class Typed:
    """Exit code and what was printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["bedside-agent", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")
    return Typed(monkeypatch, capsys)


def test_init_enrols_with_a_claim_text_and_is_idempotent(typed: Typed, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with est_server(CA, {HUB: "K7Q2"}, tmp_path / "est") as server:
        ca = trust.fingerprint(CA.root.der)
        text = f"bedside:1?est=https://localhost:{server.port}&broker=localhost:8883&hub={HUB}&claim=K7Q2&ca={ca}"
        assert typed("init", "--claim", text, "--state", str(state), "--json") == (
            0,
            json.dumps({"hub_id": HUB, "state": str(state), "already_enrolled": False}, indent=2) + "\n",
            "",
        )
        assert (state / "hub.toml").stat().st_mode & 0o777 == 0o600
        code, out, _ = typed("init", "--claim", text, "--state", str(state))
        assert code == 0
        assert "was enrolled already" in out
        other = text.replace(HUB, "hub-0002")
        code, _, err = typed("init", "--claim", other, "--state", str(state))
        assert code == 1
        assert f"belongs to hub {HUB}" in err


def test_a_hub_that_the_restored_cloud_does_not_know_is_enrolled_again_and_keeps_all_it_has(
    typed: Typed, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    ca = trust.fingerprint(CA.root.der)
    certificates = []
    for code, options in (("K7Q2", ()), ("M3X9", ("--again",))):
        with est_server(CA, {HUB: code}, tmp_path / code) as server:
            text = f"bedside:1?est=https://localhost:{server.port}&broker=localhost:1&hub={HUB}&claim={code}&ca={ca}"
            answer = typed("init", "--claim", text, *options, "--state", str(state), "--json")
        assert (answer[0], json.loads(answer[1])["already_enrolled"]) == (0, False)
        certificates.append((state / "identity" / "certificate.pem").read_bytes())
        if not options:
            with (state / "hub.toml").open("a") as settings:
                settings.write("silence_seconds = 60\n")
            kept = {name: (state / name).read_bytes() for name in ("hub.toml", "identity/key.pem")}
    assert certificates[0] != certificates[1]
    assert kept == {name: (state / name).read_bytes() for name in kept}


def test_a_claim_is_read_from_standard_input(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's arguments can be read by every user of the machine."""
    text = f"bedside:1?est=https://localhost:1&broker=localhost:1&hub={HUB}&claim=K7Q2&ca={'ab' * 32}"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\r\n"))
    code, out, _ = typed("init", "--claim", "-", "--state", str(tmp_path / "state"))
    assert (code, "its claim is kept until then" in out) == (0, True)
    assert parse_claim((tmp_path / "state" / "claim").read_text()) == parse_claim(text)


def test_init_with_a_code_alone_needs_the_rest(typed: Typed, tmp_path: Path) -> None:
    code, out, err = typed("init", "--claim", "K7Q2", "--state", str(tmp_path / "state"))
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert "Try: " in err
    assert "Traceback" not in err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", ["run", "status", "buffer show", "device list"])
def test_nothing_there_is_explained_without_a_traceback(typed: Typed, tmp_path: Path, command: str) -> None:
    code, out, err = typed(*command.split(), "--state", str(tmp_path))
    assert code == (3 if command == "status" else 1)
    assert out == ""
    assert err.startswith("Error: ")
    assert "Try: bedside-agent" in err
    assert "Traceback" not in err


def test_verbose_shows_the_traceback(typed: Typed, tmp_path: Path) -> None:
    _, _, err = typed("buffer", "show", "--state", str(tmp_path), "--verbose")
    assert "Traceback" in err


def test_devices_are_added_and_listed(typed: Typed, tmp_path: Path) -> None:
    state = ("--state", str(tmp_path))
    (tmp_path / "hub.toml").write_text(first_text(HUB, "localhost", 8883, "bluez"))
    add = ("device", "add", "nonin-1", "--profile", "serial.nonin_df2", "--port", "/dev/ttyUSB0", *state)
    assert json.loads(typed(*add, "--json")[1]) == {
        "device_id": "nonin-1",
        "profile": "serial.nonin_df2",
        "added": True,
        "link": None,
    }
    assert "is there" in typed(*add)[1]
    code, out, _ = typed("device", "add", "x", "--profile", "none.such", *state)
    assert (code, out) == (1, "")
    (listed,) = json.loads(typed("device", "list", "--json", *state)[1])
    assert (listed["device_id"], listed["port"], listed["link"]) == ("nonin-1", "/dev/ttyUSB0", None)
    assert "nonin-1" in typed("device", "list", *state)[1]


def test_wrong_usage_is_exit_code_two(typed: Typed) -> None:
    assert typed("device", "fly")[0] == 2
    for command in (["init"], ["run"], ["status"], ["buffer", "show"], ["device", "list"], ["device", "add"]):
        code, out, _ = typed(*command, "--help")
        assert code == 0
        assert "bedside-agent" in out


def test_check_refuses_what_this_version_cannot_work_with_and_changes_nothing(typed: Typed, tmp_path: Path) -> None:
    state = tmp_path / "state"
    CA.write(state / "identity", CA.leaf(HUB))
    (state / "hub.toml").write_text(first_text(HUB, "localhost", 8883, "bluez"))
    assert typed("check", "--state", str(state))[:2] == (
        0,
        f"Hub {HUB}: settings, identity and buffer are fine.\n",
    )
    Database(state / "buffer.db", "0" * 32).close()
    assert typed("check", "--state", str(state))[0] == 0
    with contextlib.closing(sqlite3.connect(state / "buffer.db")) as newer:
        newer.execute("PRAGMA user_version = 999")
    before = (state / "buffer.db").read_bytes()
    code, _, said = typed("check", "--state", str(state))
    assert code == 1
    assert "schema 999" in said
    assert (state / "buffer.db").read_bytes() == before
    (state / "identity" / "key.pem").unlink()
    assert typed("check", "--state", str(state))[0] == 1
