"""`bedside-agent device decode`: what captured frames mean, for a technician without the device."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bedside_agent.errors import AgentError
from bedside_agent.terminal import Verbose, escaped, print_json
from bedside_profiles.errors import MalformedError
from bedside_profiles.explain import Explained, Result, captured, explain

COLOURS = {Result.OK: "green", Result.NO_READING: "yellow", Result.REJECT: "red"}


def decode(
    file: Annotated[Path, typer.Argument(help="A JSON list of captured frames; - reads standard input.")],
    table: Annotated[bool, typer.Option("--table", help="A table for reading, and not JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Explain captured frames: which device, which values in canonical units, or why none may be made of them.

    bedside-agent device decode frames.json
    """
    found = explain_all(_text(file), str(file))
    if not table:
        print_json([one.to_json() for one in found])
        return
    rows = Table("frame", "profile", "result", "what it says", box=None, padding=(0, 2, 0, 0))
    for one in found:
        rows.add_row(
            escaped(one.entry_id), one.profile or "", f"[{COLOURS[one.result]}]{one.result}[/]", escaped(_said(one))
        )
    Console().print(rows)


def explain_all(text: str, where: str) -> list[Explained]:
    """Every entry of a JSON list; one that cannot be read is rejected by itself. AgentError when it is no list."""
    try:
        entries = json.loads(text)
    except ValueError as cause:
        raise AgentError(f"{where} is no JSON: {cause}", fix="give a JSON list of frames") from cause
    if not isinstance(entries, list):
        raise AgentError(f"{where} is no JSON list", fix="put the frames in square brackets")
    return [_explained(entry, place) for place, entry in enumerate(entries, 1)]


def _explained(entry: object, place: int) -> Explained:
    try:
        return explain(captured(entry, place))
    except MalformedError as error:
        entry_id = entry.get("id", place) if isinstance(entry, dict) else place
        return Explained(str(entry_id), None, Result.REJECT, str(error))


def _said(one: Explained) -> str:
    said = one.to_json()
    words = []
    for reading in said["readings"]:
        value = "beyond its range" if reading["value"] is None else reading["value"]
        words.append(" ".join(str(part) for part in (reading["metric"], value, reading["unit"], *reading["flags"])))
    words += [f"{name}: {value}" for name, value in said["facts"].items()]
    return "; ".join(words) or one.reason or ""


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise AgentError(f"{file} cannot be read: {cause}") from cause
