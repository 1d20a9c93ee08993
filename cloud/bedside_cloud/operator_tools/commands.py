"""`bedside-cloud fleet command`: what a tech has a hub do from elsewhere."""

import base64
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bedside_cloud.contracts.hub_commands import (
    COMMAND_CONTENT,
    COMMAND_GIVE,
    COMMANDS,
    CommandKind,
    CommandList,
    CommandsRequest,
    CommandState,
    Content,
    ContentRequest,
    Given,
    GivenCommand,
    GiveRequest,
)
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.operator_tools.typed import seconds_of
from bedside_cloud.settings import DEFAULT_STATE

command = typer.Typer(help="What a hub is told to do from elsewhere.", no_args_is_help=True)

LOOK_SECONDS = 0.5
NOT_APPLIED = 1

SAID = {
    CommandState.WAITING: "The hub has not answered yet. It is told whenever it is online, until the command expires.",
    CommandState.APPLIED: "The hub has done it.",
    CommandState.REFUSED: "The hub has not done it: {reason}",
    CommandState.EXPIRED: "It expired without an answer. Give it again when the hub is online.",
}

WithinOption = Annotated[str, typer.Option("--within", help="Follow it in this time or not at all: 10m, 2h, 3d.")]
WaitOption = Annotated[float, typer.Option("--wait", min=0, max=600, help="Seconds to wait for the answer.")]


@command.command("give")
def give(
    hub_id: str,
    kind: CommandKind,
    within: WithinOption = "1h",
    wait: WaitOption = 30,
    output: Annotated[Path | None, typer.Option("--output", help="Where what the hub sends is written.")] = None,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Have a hub do something, and wait for its answer. Exit code 1 if it has not been done.

    Example: bedside-cloud fleet command give hub-7 collect_bundle --output hub-7.tar.gz
    """
    _check_new(output)
    request = GiveRequest(hub_id=hub_id, kind=kind, valid_seconds=seconds_of(within, "--within"))
    given = ask(state, COMMAND_GIVE, request, Given)
    if not given.is_new and not json:
        say("The same was given before and waits for the hub.")
    found = _waited(state, hub_id, given.command_id, wait, quiet=json)
    if found.state is CommandState.APPLIED and output is not None:
        _write(output, _content(state, found.command_id))
    if json:
        as_json(found)
    else:
        say(SAID[found.state].format(reason=found.reason))
        _say_where(found, output)
    if found.state is not CommandState.APPLIED:
        raise typer.Exit(NOT_APPLIED)


@command.command("list")
def listed(
    hub_id: Annotated[str | None, typer.Argument(help="Of this hub alone.")] = None,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """The newest commands and what became of them.

    Example: bedside-cloud fleet command list hub-7
    """
    answer = ask(state, COMMANDS, CommandsRequest(hub_id=hub_id), CommandList)
    if json:
        as_json(answer)
        return
    table(
        ("given", "hub", "command", "state", "answered", "number"),
        (
            (
                utc(one.given_at_ms),
                one.hub_id,
                one.kind,
                f"{one.state.value}: {one.reason}" if one.reason else one.state.value,
                utc(one.answered_at_ms),
                one.command_id,
            )
            for one in answer.commands
        ),
        "No command was given. Give one: bedside-cloud fleet command give HUB restart",
    )


@command.command("fetch")
def fetch(
    command_id: Annotated[str, typer.Argument(help="The command's number, as `list` shows it.")],
    output: Annotated[Path, typer.Option("--output", help="Where to write it.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Write what a hub sent for a command: an archive or a log, gzipped.

    Example: bedside-cloud fleet command fetch 0b9c… --output hub-7.tar.gz
    """
    _check_new(output)
    _write(output, _content(state, command_id))
    say(f"Written to {output}.")


def _waited(state: Path, hub_id: str, command_id: str, seconds: float, *, quiet: bool) -> GivenCommand:
    """The command once it is answered or expired, or as it is when the time is over."""
    until = time.monotonic() + seconds
    with Console(stderr=True, quiet=quiet).status("Waiting for the hub …"):
        while True:
            answer = ask(state, COMMANDS, CommandsRequest(hub_id=hub_id, most=500), CommandList)
            found = next(one for one in answer.commands if one.command_id == command_id)
            if found.state is not CommandState.WAITING or time.monotonic() >= until:
                return found
            time.sleep(LOOK_SECONDS)


def _content(state: Path, command_id: str) -> bytes:
    answer = ask(state, COMMAND_CONTENT, ContentRequest(command_id=command_id), Content)
    return base64.b64decode(answer.content_base64)


def _say_where(found: GivenCommand, output: Path | None) -> None:
    if output is not None and found.state is CommandState.APPLIED:
        say(f"Written to {output}.")
    elif found.content_bytes:
        say(f"Write what it sent: bedside-cloud fleet command fetch {found.command_id} --output FILE")


def _check_new(path: Path | None) -> None:
    if path is not None and path.exists():
        raise OperatorError(f"{path} is there already.", "Nothing is overwritten.", "Give another --output.")


def _write(path: Path, content: bytes) -> None:
    """Readable by the tech alone: a log names devices of a household."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as cause:
        raise OperatorError(f"{path} cannot be written.", str(cause.strerror), "Give another --output.") from cause
