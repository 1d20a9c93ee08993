"""`bedside-agent device decode`: what captured frames mean, for a technician without the device."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding

from bedside_agent.errors import AgentError
from bedside_agent.terminal import Verbose, escaped, print_json
from bedside_profiles.errors import MalformedError
from bedside_profiles.explain import Explained, Result, captured, explain
from bedside_profiles.profile import Decoded
from bedside_profiles.readings import METRICS

COLOURS = {Result.OK: "green", Result.NO_READING: "yellow", Result.REJECT: "red"}


def decode(
    file: Annotated[Path, typer.Argument(help="A JSON list of captured frames; - reads standard input.")],
    words: Annotated[bool, typer.Option("--words", help="Say it for reading, and not as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Explain captured frames: which device, which values in canonical units, or why none may be made of them.

    bedside-agent device decode frames.json
    """
    found = explain_all(_text(file), str(file))
    if not words:
        print_json([one.to_json() for one in found])
        return
    console = Console(highlight=False)
    for one in found:
        colour = COLOURS[one.result]
        console.print(f"[bold]{escaped(one.entry_id)}[/]  [{colour}]{one.result}[/]  {one.profile or ''}")
        for line in _said(one):
            console.print(Padding(escaped(line), (0, 0, 0, 4)))


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


def _said(one: Explained) -> Iterator[str]:
    for measurement in one.measurements:
        facts = METRICS[measurement.metric]
        value = "beyond its range" if measurement.value is None else f"{measurement.value:g}"
        flags = [flag.value for flag in (*measurement.quality, *filter(None, (measurement.range_flag,)))]
        at = f"at {measurement.device_time}" if measurement.device_time else ""
        yield " ".join(filter(None, (measurement.metric.value, value, facts.unit, *flags, at)))
    for outcome in one.outcomes:
        if isinstance(outcome, Decoded):
            yield from (f"{fact.name}: {fact.value}" for fact in outcome.facts)
    if one.reason:
        yield one.reason


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise AgentError(f"{file} cannot be read: {cause}") from cause
