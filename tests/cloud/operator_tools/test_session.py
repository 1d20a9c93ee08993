"""A technician's log-in on another computer: the file, the server's name, and what is never sent."""

import json
import time
from pathlib import Path

import pytest

from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.registry import HUBS, HubList
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask, remote
from bedside_cloud.operator_tools.session import (
    Session,
    checked_server,
    fetched,
    forget_session,
    keep_session,
    kept_session,
    session_file,
)
from bedside_cloud.settings import DEFAULT_STATE

SESSION = Session("https://bedside.example.org", "tech.one", "secret-token", 2_000_000_000)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a folder without a cloud."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def test_a_session_is_kept_for_its_owner_and_forgotten() -> None:
    assert kept_session() is None
    keep_session(SESSION)
    keep_session(SESSION)
    assert session_file().stat().st_mode & 0o777 == 0o600
    assert session_file().parent.stat().st_mode & 0o777 == 0o700
    assert kept_session() == SESSION
    assert "secret" not in repr(SESSION)
    assert forget_session()
    assert not forget_session()
    session_file().write_text("{")
    with pytest.raises(OperatorError, match="damaged"):
        kept_session()


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://bedside.example.org", "https://bedside.example.org"),
        ("bedside.example.org:8443/", "https://bedside.example.org:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_server_is_an_origin(given: str, origin: str) -> None:
    assert checked_server(given) == origin


@pytest.mark.parametrize("given", ["http://bedside.example.org", "http://10.0.0.1", "ftp://x", "https://x/path", ""])
def test_a_password_goes_nowhere_else(given: str) -> None:
    with pytest.raises(OperatorError, match=r"without TLS|is no server"):
        checked_server(given)


def test_a_session_that_is_over_is_not_tried() -> None:
    over = Session(SESSION.server, SESSION.name, SESSION.token, time.time() - 1)
    with pytest.raises(OperatorError, match=r"has ended.*bedside-cloud login --server https://bedside.example.org"):
        fetched(over, "POST", "/fleet/registry.hubs", Empty(), HubList)


def test_a_state_folder_that_is_named_or_here_comes_first(tmp_path: Path) -> None:
    keep_session(SESSION)
    assert remote(DEFAULT_STATE) == SESSION
    assert remote(tmp_path / "named") is None
    with pytest.raises(OperatorError, match="There is no cloud in"):
        ask(tmp_path / "named", HUBS, Empty(), HubList)
    DEFAULT_STATE.mkdir()
    (DEFAULT_STATE / "cloud.json").write_text(json.dumps({}))
    assert remote(DEFAULT_STATE) is None
