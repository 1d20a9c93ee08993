"""What the commands on a terminal share: options, and how things are printed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bedside_agent.service import STATE_VARIABLE
from bedside_profiles.wire.status import LinkState

_verbose = False


def _set_verbose(wanted: bool) -> bool:
    global _verbose
    _verbose = wanted
    return wanted


def is_verbose() -> bool:
    """Whether the user asked for tracebacks."""
    return _verbose


State = Annotated[
    Path,
    typer.Option("--state", envvar=STATE_VARIABLE, help="Where the hub keeps identity, settings and buffer."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", callback=_set_verbose, is_eager=True, help="Show the traceback of an error.")
]


LINK_WORDS = {
    LinkState.CONNECTED: "connected",
    LinkState.SEARCHING: "searching",
    LinkState.LOST: "lost",
    LinkState.WAITING_FOR_SLOT: "is there, waits for a free connection slot",
    LinkState.REPAIR_NEEDED: "has forgotten this hub: put it into its pairing mode",
}


def print_json(value: object) -> None:
    """The value on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def show(result: dict[str, Any], as_json: bool, sentence: str) -> None:
    """What a command did: as JSON, or in a sentence."""
    if as_json:
        print_json(result)
    else:
        Console(soft_wrap=True, highlight=False).print(escaped(sentence))


def time_text(at_ms: int | None) -> str:
    """UTC milliseconds for a person."""
    if at_ms is None:
        return "—"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def link_text(link: str | None) -> str:
    """A device's link, as the running agent reported it, for a person."""
    return "—" if link is None else LINK_WORDS[LinkState(link)]


def escaped(text: str) -> str:
    """Text that Rich takes for text."""
    return text.replace("[", r"\[")
