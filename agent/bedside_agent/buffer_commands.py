"""`bedside-agent buffer`: what the hub keeps, for a technician; beside a running agent or without one."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from bedside_agent import health
from bedside_agent.buffer import salvage
from bedside_agent.buffer.contents import LANES
from bedside_agent.buffer.inspection import Counts, Progress, viewed
from bedside_agent.buffer.key_file import rotate
from bedside_agent.buffer.records import COLUMNS, Record, cells, glance, since_ms
from bedside_agent.buffer.substitute import buffer_in_use, memory_for
from bedside_agent.errors import AgentError
from bedside_agent.health import NotRunningError
from bedside_agent.opening import BUFFER
from bedside_agent.service import STATE
from bedside_agent.terminal import Json, State, Verbose, escaped, print_json, time_text
from bedside_profiles.wire.topics import UpLane

app = typer.Typer(
    no_args_is_help=True,
    help="What the hub keeps until the cloud holds it. Values of the patient leave through `show` and `export` alone.",
)


class Lane(StrEnum):
    """The lanes that the buffer keeps."""

    ALARMS = "alarms"
    READINGS = "readings"
    EVENTS = "events"
    WAVEFORMS = "waveforms"


class Form(StrEnum):
    """How `export` writes."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command("stats")
def stats(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """How much is kept and how much of it waits for a receipt, lane by lane; size, keys and health. No values.

    bedside-agent buffer stats --json
    """
    with viewed(_in_use(state)) as view, _progress("counting") as progress:
        found = view.counts(progress)
    error = _agents_word(state)
    if as_json:
        print_json({**asdict(found), "store_error": error, "healthy": _is_healthy(found, error)})
        return
    names = ("stored", "waiting", "lost", "damaged", "bytes")
    table = Table("lane", *names, "oldest (UTC)", "newest (UTC)", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:6]:
        column.justify = "right"
    for name, lane in found.lanes.items():
        numbers = (lane.stored, lane.waiting, lane.gap_items, lane.damaged, lane.bytes)
        times = (time_text(at)[5:16] if at is not None else "—" for at in (lane.oldest_ms, lane.newest_ms))
        table.add_row(name, *map(str, numbers), *times)
    console = Console(soft_wrap=True)
    console.print(table)
    keys = ", ".join(f"key {number}: {rows} rows" for number, rows in found.rows_by_key.items()) or "nothing sealed"
    console.print(f"{found.file_bytes} bytes, {found.stores} openings, {keys} (newest key {found.newest_key})")
    console.print(escaped(_health(found, error)))


@app.command("show")
def show(
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=10_000, help="How many of each lane.")] = 20,
    lane: Annotated[Lane | None, typer.Option(help="This lane alone.")] = None,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """The newest items, decoded: VALUES OF THE PATIENT appear on the screen.

    bedside-agent buffer show --lane readings -n 50
    """
    with viewed(_in_use(state)) as view:
        found = [one for wanted in _lanes(lane) for one in view.newest(wanted, rows)]
    if as_json:
        print_json(found)
        return
    table = Table("time (UTC)", "lane", "seq", "item", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[:3]:
        column.no_wrap = True
    for one in found:
        table.add_row(*map(escaped, glance(one)))
    Console().print(table)


@app.command("export")
def export(
    form: Annotated[Form, typer.Option("--format", help="csv, or jsonl: one JSON object a line.")] = Form.CSV,
    since: Annotated[str, typer.Option(help="Nothing older: 2026-01-02T03:04 (UTC), or 90m, 24h, 7d ago.")] = "",
    lane: Annotated[Lane | None, typer.Option(help="This lane alone.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="A new file, readable by its owner alone; else the screen.")
    ] = None,
    state: State = STATE,
    verbose: Verbose = False,
) -> None:
    """Write everything that is kept, decoded, oldest first: VALUES OF THE PATIENT leave the hub's sealed store.

    bedside-agent buffer export --format jsonl --since 24h --output readings.jsonl
    """
    not_before = since_ms(since, time.time_ns() // 1_000_000) if since else None
    with ExitStack() as stack:
        view = stack.enter_context(viewed(_in_use(state)))
        target = stack.enter_context(_new_file(output)) if output is not None else sys.stdout
        progress = stack.enter_context(_progress("exporting"))
        records = (one for wanted in _lanes(lane) for one in view.records(wanted, not_before, progress))
        written = _write(records, form, target)
    if output is not None:
        Console(stderr=True).print(f"{written} items are in {output}")


@app.command("verify")
def verify(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """Check every page and every seal. Exit code 1 when something is damaged.

    A broken file is marked, so that the agent's next start puts it aside and saves what can be read. No values.

    bedside-agent buffer verify
    """
    path = state / BUFFER
    with viewed(path) as view, _progress("verifying") as progress:
        problems = list(view.problems(progress))
        broken = view.is_broken
    if broken:
        salvage.suspect(path).touch(mode=0o600)
    if as_json:
        print_json({"problems": problems, "marked": broken})
    else:
        console = Console(soft_wrap=True, highlight=False)
        for one in problems:
            console.print(escaped(one))
        console.print(escaped(_what_to_do(problems, broken=broken)))
    if problems:
        raise typer.Exit(1)


@app.command("rotate-key")
def rotate_key(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """Seal with a new key from the agent's next start on. The older keys stay: they open what they sealed.

    bedside-agent buffer rotate-key
    """
    number = rotate(state / BUFFER)
    if as_json:
        print_json({"key": number})
    else:
        Console().print(f"Key {number} is made; it seals after the agent's next start: systemctl restart bedside-agent")


def _in_use(state: Path) -> Path:
    return buffer_in_use(state / BUFFER, memory_for(state))


def _lanes(lane: Lane | None) -> tuple[UpLane, ...]:
    return LANES if lane is None else (UpLane(lane.value),)


def _agents_word(state: Path) -> str | None:
    """What the running agent says of its store; None when it says nothing is wrong, or does not run."""
    try:
        error: str | None = health.ask(state, memory_for(state))["store_error"]
    except NotRunningError:
        return None
    return error


def _is_healthy(found: Counts, error: str | None) -> bool:
    damaged = any(lane.damaged for lane in found.lanes.values())
    return not (error or damaged or found.damaged_files or found.is_suspect)


def _health(found: Counts, error: str | None) -> str:
    if error:
        return f"The agent cannot write: {error}"
    if found.is_suspect:
        return "Damaged: the agent's next start puts the file aside. Try: systemctl restart bedside-agent"
    if found.damaged_files:
        return f"Being salvaged by the running agent: {', '.join(found.damaged_files)}"
    return "Healthy." if _is_healthy(found, error) else "Some rows are damaged. Try: bedside-agent buffer verify"


def _what_to_do(problems: list[str], *, broken: bool) -> str:
    if broken:
        return (
            "Try: systemctl restart bedside-agent. It puts the file aside, saves every row that can be read, and tells "
            "the cloud. Then replace the card: it will fail again."
        )
    if problems:
        return (
            "The agent sends these as gaps, and the cloud knows what is missing. If a key is missing, put buffer.key "
            "back from its copy; else replace the card: it will fail again."
        )
    return "Every page and every seal is whole."


def _write(records: Iterator[Record], form: Form, target: TextIO) -> int:
    written = 0
    table = csv.writer(target)
    if form is Form.CSV:
        table.writerow(COLUMNS)
    for one in records:
        written += 1
        if form is Form.CSV:
            table.writerow(cells(one))
        else:
            target.write(json.dumps(one, ensure_ascii=False, default=str) + "\n")
    return written


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError as cause:
        raise AgentError(f"{path} is there already", fix="choose another name") from cause
    with path.open("w", encoding="utf-8", newline="") as target:
        yield target


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """A bar on the terminal; nothing where there is none."""
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
