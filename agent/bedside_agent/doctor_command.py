"""`bedside-agent doctor`: what is wrong with this hub, one line each, and what to do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from bedside_agent import health, settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.clock import SystemClock
from bedside_agent.doctor import hub, machine, network
from bedside_agent.doctor.findings import Finding, Verdict, broken
from bedside_agent.errors import AgentError, SettingsError
from bedside_agent.opening import IDENTITY
from bedside_agent.service import STATE
from bedside_agent.terminal import Json, State, Verbose, escaped, print_json
from bedside_agent.uplink.identity import Identity
from bedside_profiles.catalogue import profile_named
from bedside_profiles.profile import SerialProfile
from bedside_profiles.readings import ClockQuality

SIGNS = {
    Verdict.FINE: "[green]✓[/green]",
    Verdict.WATCH: "[yellow]![/yellow]",
    Verdict.BROKEN: "[red]✗[/red]",
    Verdict.UNKNOWN: "[dim]?[/dim]",
}


def doctor(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """What is wrong with this hub, one line each, and what to do. Exit code 1 when something does not work.

    bedside-agent doctor
    """
    with Console(stderr=True).status("looking"):
        found = examined(state)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        table = Table.grid(padding=(0, 2, 0, 0))
        for one in found:
            says = escaped(one.says) + (f"\n[dim]→ {escaped(one.fix)}[/dim]" if one.fix else "")
            table.add_row(SIGNS[one.verdict], one.check, says)
        Console().print(table)
    if any(one.verdict is Verdict.BROKEN for one in found):
        raise typer.Exit(1)


def examined(state: Path, root: Path = machine.ROOT) -> list[Finding]:
    """Every finding, in the order in which a technician would look."""
    try:
        known = settings.load(state)
    except SettingsError as error:
        return [broken("settings", "; ".join(error.problems), error.fix), machine.disk(state.parent, root)]
    now, identity, report = SystemClock().now(), Identity(state / IDENTITY), running_report(state)
    knows_time = now.quality is ClockQuality.SYNCED
    now_ms = now.utc_ms if knows_time or (report or {}).get("clock") == ClockQuality.SYNCED.value else None
    floor_ms = None if knows_time else 0
    needs_radio = any(not isinstance(profile_named(one.profile), SerialProfile) for one in known.device)
    looks: list[Callable[[], Finding]] = [
        lambda: hub.clock(now.quality, (report or {}).get("clock")),
        lambda: machine.power(root),
        lambda: machine.disk(state, root),
        lambda: hub.running(report),
        lambda: hub.buffer(report, now_ms),
        lambda: hub.devices(report),
        lambda: network.names(known.broker_host),
        lambda: network.broker(known.broker_host, known.broker_port, identity, floor_ms),
        lambda: hub.certificate(identity, now_ms),
        lambda: network.enrolment(known.est_url, identity, floor_ms),
        lambda: machine.bluetooth(needs_radio, root),
        lambda: machine.wifi(root),
    ]
    with ThreadPoolExecutor(len(looks)) as pool:
        return list(pool.map(lambda look: look(), looks))


def running_report(state: Path) -> dict[str, Any] | None:
    """What the running agent says of itself; None without one."""
    try:
        return health.ask(state, memory_for(state))
    except AgentError:
        return None
