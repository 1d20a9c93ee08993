"""The supervisor's parts: back-off, board, state, limits."""

import asyncio
import contextlib
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from bedside_cloud.contracts.identity import EnrolRequest, LoginAnswer, LoginRequest, Role
from bedside_cloud.contracts.identity_administration import ClaimAnswer, PersonRequest
from bedside_cloud.contracts.message import Message
from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.limits import TEMPLATES
from bedside_cloud.secret import Secret
from bedside_cloud.supervisor.backoff import LONGEST_SECONDS, SETTLED_SECONDS, deaths_in_a_row, pause_seconds
from bedside_cloud.supervisor.board import Board, LineScreen, Phase, Row, TableScreen
from bedside_cloud.supervisor.child import Child, Plan
from bedside_cloud.supervisor.state import State, is_running, locked


def test_the_pause_doubles_is_capped_and_forgotten() -> None:
    assert [pause_seconds(deaths) for deaths in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert pause_seconds(10_000) == LONGEST_SECONDS
    assert deaths_in_a_row(7, 1.0) == 8
    assert deaths_in_a_row(7, SETTLED_SECONDS) == 1


def test_a_change_is_one_line_and_the_status_file_follows(tmp_path: Path) -> None:
    text = io.StringIO()
    board = Board(tmp_path / "status.json", LineScreen(Console(file=text)))
    row = Row("ingest", Phase.RUNNING, 7)
    board.set(row)
    row.phase, row.pid, row.last_exit = Phase.WAITING, None, "ended by SIGKILL"
    board.set(row)
    board.ready(True)
    assert text.getvalue().splitlines() == ["ingest running pid=7", "ingest waiting ended by SIGKILL"]
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["ready"]
    assert status["processes"] == [
        {"name": "ingest", "phase": "waiting", "pid": None, "restarts": 0, "last_exit": "ended by SIGKILL"}
    ]


def test_the_table_shows_every_process(tmp_path: Path) -> None:
    text = io.StringIO()
    with Live(console=Console(file=text, width=100, force_terminal=True), auto_refresh=False) as live:
        board = Board(tmp_path / "status.json", TableScreen(live))
        for name in ("broker", "ingest"):
            board.set(Row(name, Phase.RUNNING, 7))
    assert "broker" in text.getvalue()
    assert "ingest" in text.getvalue()


async def test_a_process_that_is_asked_to_starts_again_at_once_and_has_not_died(tmp_path: Path) -> None:
    board = Board(tmp_path / "status.json", LineScreen(Console(quiet=True)))
    plan = Plan("sleeper", lambda: ["sleep", "60"], tmp_path / "sleeper.log", ready=_at_once)
    child = Child(plan, board)
    running = asyncio.create_task(child.run())
    await child.came_up.wait()
    (before,) = json.loads((tmp_path / "status.json").read_text())["processes"]
    await child.restart()
    (after,) = json.loads((tmp_path / "status.json").read_text())["processes"]
    assert (after["phase"], after["restarts"], after["last_exit"]) == ("running", 0, "")
    assert after["pid"] != before["pid"]
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _at_once() -> None:
    return None


def test_a_rotation_keeps_the_earlier_keys_until_they_are_ended(tmp_path: Path) -> None:
    state = State.make(tmp_path)
    before = state.broker_secrets
    state.renew_credentials()
    during = state.broker_secrets
    assert during.good_for("ingest") == (during.seeds["ingest"], before.seeds["ingest"])
    assert set(during.seeds.values()).isdisjoint(before.seeds.values())
    state.end_earlier_seeds()
    assert state.broker_secrets.good_for("ingest") == (during.seeds["ingest"],)
    again = State.make(tmp_path).broker_secrets
    assert (again.seeds, again.earlier_seeds) == (during.seeds, {})


def test_a_state_is_made_once_and_takes_new_names(tmp_path: Path) -> None:
    first = State.make(tmp_path / "state")
    second = State.make(tmp_path / "state", listen="0.0.0.0", names=("bedside.example.org",))
    assert second.place.ports == first.place.ports
    assert second.place.names[0] == "bedside.example.org"
    assert second.database_passwords == first.database_passwords
    assert State.open(tmp_path / "state").place == second.place
    assert State.make(tmp_path / "state").place == second.place


def test_a_service_gets_its_own_secrets_alone(tmp_path: Path) -> None:
    state = State.make(tmp_path / "state")
    assert set(state.service_settings("identity", "identity-1").secrets) == {
        "ca.issuing",
        "bus.callout",
        "identity.tokens",
    }
    gateway = state.service_settings("gateway", "gateway")
    assert not gateway.secrets
    assert gateway.system_bus is None
    assert state.database_passwords["registry"] not in repr(gateway)
    with pytest.raises(OperatorError, match="There is no service"):
        state.service_settings("operator", "operator")


def test_a_secret_is_not_printed() -> None:
    secret = Secret("planted")
    assert "planted" not in f"{secret!r} {secret}"
    assert secret.reveal() == "planted"


def test_no_secret_is_in_what_is_printed_of_the_settings(tmp_path: Path) -> None:
    state = State.make(tmp_path / "state")
    secrets = json.loads((tmp_path / "state" / "secrets.json").read_text()).values()
    services = [entry.name for entry in SERVICES if entry.schema]
    shown = [state.service_settings(name, name) for name in services]
    printed = repr([*shown, state, state.postgres, state.broker, state.broker_secrets, state.issuing_passphrase])
    assert [secret for secret in secrets if secret in printed] == []


@pytest.mark.parametrize(
    "message",
    [
        LoginRequest(name="nurse", password="planted"),
        LoginAnswer(access_token="planted", expires_in_seconds=1),
        PersonRequest(name="nurse", role=Role.NURSE, password="planted"),
        EnrolRequest(hub_id="hub-1", claim="planted", csr_der=b""),
        ClaimAnswer(hub_id="hub-1", claim="planted", expires_at_ms=0),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_does_not_print_its_secret(message: Message) -> None:
    assert "planted" not in f"{message!r} {message}"
    assert "planted" in message.model_dump_json()


def test_one_process_holds_the_lock(tmp_path: Path) -> None:
    with locked(tmp_path, "First"):
        assert is_running(tmp_path)
        with pytest.raises(OperatorError, match="Second is not possible now"), locked(tmp_path, "Second"):
            pass
    assert not is_running(tmp_path)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_s_rules_have_their_own_names_and_conditions(name: str) -> None:
    rules = TEMPLATES[name]
    assert len({rule.rule_id for rule in rules}) == len({rule.condition for rule in rules}) == len(rules)
