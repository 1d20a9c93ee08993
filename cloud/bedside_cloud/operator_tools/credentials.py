"""`bedside-cloud credentials`: the keys and passwords by which the services are known to one another."""

import json as jsonlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from bedside_cloud.contracts.message import Message
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.run import STATUS_FILE

LOOK_SECONDS = 0.2
LONGEST_SECONDS = 900.0

credentials = typer.Typer(help="The services' own keys and passwords.", no_args_is_help=True)


class Rotated(Message):
    """When the new ones came into use."""

    rotated_at_ms: int


@credentials.command("rotate")
def rotate_command(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Give every service a new key and a new password while the cloud runs. No message is lost.

    Example: bedside-cloud credentials rotate
    """
    file = state.absolute() / STATUS_FILE
    before = _status(file, state)
    os.kill(int(before["supervisor_pid"]), signal.SIGUSR1)
    deadline = time.monotonic() + LONGEST_SECONDS
    with Console(stderr=True).status("New keys: the services are started again, one after another"):
        while (now := _status(file, state)["rotation"])["number"] == before["rotation"]["number"] or now["is_running"]:
            if time.monotonic() > deadline:
                raise OperatorError("The rotation does not end.", "", f"Look: bedside-cloud status --state {state}")
            time.sleep(LOOK_SECONDS)
    if now["trouble"]:
        raise OperatorError("Not every service has its new key.", now["trouble"], "")
    if json:
        as_json(Rotated(rotated_at_ms=now["at_ms"]))
        return
    say("Every service has a new key and a new password; the earlier ones are good for nothing any more.")


def _status(file: Path, state: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = jsonlib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise OperatorError(
            "The cloud is not running.",
            "Each start of it needs the keys that it has.",
            f"Start it: bedside-cloud up --state {state}",
        ) from cause
    if not content["ready"]:
        raise OperatorError("The cloud is not up yet.", "Some process is starting.", "Try again in a moment.")
    return content
