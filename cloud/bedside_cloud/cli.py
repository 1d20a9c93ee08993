"""`bedside-cloud`: start the cloud, look after it, and what a tech does from a terminal."""

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.audit import audit
from bedside_cloud.operator_tools.authority import authority
from bedside_cloud.operator_tools.backups import backup_command, restore_command
from bedside_cloud.operator_tools.care import assign, patient, person, plan, release
from bedside_cloud.operator_tools.credentials import credentials
from bedside_cloud.operator_tools.endpoints import endpoints
from bedside_cloud.operator_tools.fleet import fleet
from bedside_cloud.operator_tools.logins import login, logout, whoami
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.quarantine import quarantine
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.board import LineScreen, TableScreen
from bedside_cloud.supervisor.run import STATUS_FILE, up
from bedside_cloud.supervisor.service import run_service
from bedside_cloud.supervisor.state import State, is_running

app = typer.Typer(
    help="The cloud of Bedside: services, database and broker.", no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(fleet, name="fleet")
app.add_typer(person, name="person")
app.add_typer(patient, name="patient")
app.add_typer(plan, name="plan")
app.add_typer(quarantine, name="quarantine")
app.add_typer(audit, name="audit")
app.add_typer(authority, name="authority")
app.add_typer(credentials, name="credentials")
app.command("login")(login)
app.command("logout")(logout)
app.command("whoami")(whoami)
app.command("assign")(assign)
app.command("release")(release)
app.command("endpoints")(endpoints)
app.command("backup")(backup_command)
app.command("restore")(restore_command)

out = Console()
err = Console(stderr=True)


class Verbosity:
    """Whether errors come with their traceback."""

    traceback = False


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the traceback of an error.")] = False,
) -> None:
    Verbosity.traceback = verbose


@app.command("up")
def up_command(
    state: StateOption = DEFAULT_STATE,
    headless: Annotated[bool, typer.Option("--headless", help="One line for each change instead of a table.")] = False,
    listen: Annotated[
        str | None, typer.Option("--listen", help="IP address for hubs; 0.0.0.0 for all. Kept for the next start.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A host name or address that hubs use; may be given often.")
    ] = None,
) -> None:
    """Start everything and keep it running until Ctrl-C.

    Example: bedside-cloud up --state /var/lib/bedside-cloud --listen 0.0.0.0 --name bedside.example.org
    """

    def on_ready(ready: State) -> None:
        ports = ready.place.ports
        err.print(
            f"Ready. Console http://127.0.0.1:{ports.gateway} · hubs {ready.place.names[0]}:{ports.hubs}"
            f" · enrolment https://{ready.place.names[0]}:{ports.est} · Ctrl-C stops",
            highlight=False,
            soft_wrap=True,
        )

    names = tuple(name or ())
    if headless or not out.is_terminal:
        asyncio.run(up(state.absolute(), LineScreen(out), listen=listen, names=names, on_ready=on_ready))
    else:
        with Live(console=out, auto_refresh=False) as live:
            asyncio.run(up(state.absolute(), TableScreen(live), listen=listen, names=names, on_ready=on_ready))


@app.command("run")
def run_command(
    service: Annotated[str, typer.Argument(help="identity, registry, ingest, alerting or gateway")],
    state: StateOption = DEFAULT_STATE,
    instance: Annotated[str | None, typer.Option("--instance", help="Tells replicas apart.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Run one service in the foreground; database and broker are run by `up` or elsewhere.

    Example: bedside-cloud run ingest --instance ingest-2
    """
    run_service(service, instance or service, state.absolute(), verbose=verbose)


@app.command("status")
def status_command(state: StateOption = DEFAULT_STATE, json_: JsonOption = False) -> None:
    """What each process is doing.

    Example: bedside-cloud status --json
    """
    State.open(state)
    if not is_running(state):
        raise OperatorError("The cloud is not running.", "", f"Start it: bedside-cloud up --state {state}")
    text = (state / STATUS_FILE).read_text(encoding="utf-8")
    if json_:
        out.print(text, markup=False, highlight=False, soft_wrap=True, end="")
        return
    for row in json.loads(text)["processes"]:
        out.print(
            f"{row['name']:12} {row['phase']:9} pid {row['pid'] or '–'} restarts {row['restarts']}", highlight=False
        )


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 refused or failed (said in sentences), 2 wrong usage."""
    try:
        app()
    except OperatorError as error:
        if Verbosity.traceback:
            raise
        err.print(f"[bold red]Error:[/] {error.happened}", highlight=False, soft_wrap=True)
        for sentence in (error.why, error.remedy):
            if sentence:
                err.print(sentence, markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        if Verbosity.traceback:
            raise
        err.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
