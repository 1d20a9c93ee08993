"""`bedside-agent`: the technician's commands on a hub."""

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bedside_agent import (
    buffer_commands,
    device_commands,
    doctor_command,
    health,
    hub_commands,
    page_command,
    settings,
    signals_command,
    wifi_commands,
)
from bedside_agent.buffer.inspection import check_readable
from bedside_agent.buffer.key_file import check_keys
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.clock import SystemClock
from bedside_agent.errors import AgentError, EnrolmentError
from bedside_agent.health import NotRunningError, Report
from bedside_agent.homepage.pairing import keep_code, kept_code
from bedside_agent.opening import BUFFER, IDENTITY
from bedside_agent.service import FAILED, STATE, as_agent_error, serve
from bedside_agent.terminal import Json, State, Verbose, escaped, is_verbose, print_json, show, time_text
from bedside_agent.uplink import pending
from bedside_agent.uplink.claim import SCHEME, Claim, ClaimError, claim_text, make_claim, parse_claim
from bedside_agent.uplink.enrolment import enrol
from bedside_agent.uplink.identity import Identity
from bedside_agent.whole_file import write_whole
from bedside_profiles.readings import ClockQuality

NOT_RUNNING = 3
EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the agent does not run."

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=EXIT_CODES)
app.add_typer(buffer_commands.app, name="buffer")
app.add_typer(device_commands.app, name="device")
app.add_typer(page_command.app, name="page")
app.add_typer(signals_command.app, name="signals")
app.add_typer(wifi_commands.app, name="wifi")


@app.command()
def init(
    claim: Annotated[str, typer.Option(help="The claim text (bedside:1?…), or its code alone.")],
    est: Annotated[str, typer.Option(help="https address of the enrolment server, with a code alone.")] = "",
    broker: Annotated[str, typer.Option(help="HOST:PORT of the broker, with a code alone.")] = "",
    hub_id: Annotated[str, typer.Option(help="This hub's id, with a code alone.")] = "",
    ca_sha256: Annotated[str, typer.Option(help="SHA-256 of the root certificate, with a code alone.")] = "",
    radio: Annotated[str, typer.Option(help="bluez, or bumble:TRANSPORT.")] = "bluez",
    again: Annotated[
        bool, typer.Option("--again", help="Also a hub that is enrolled: the cloud was restored and does not know it.")
    ] = False,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Enrol this hub with a one-time claim. Running it again is fine. What the hub keeps and its settings stay.

    Without a network the claim is kept, and used by the agent as soon as there is one.

    bedside-agent init --claim 'bedside:1?est=https://…&broker=…&hub=…&claim=…&ca=…'
    """
    wanted = parse_claim(claim) if claim.startswith(SCHEME) else make_claim(est, broker, hub_id, claim, ca_sha256)
    text = settings.first_text(wanted.hub_id, wanted.broker_host, wanted.broker_port, radio, wanted.est_url)
    settings.parse(text)
    path = state / settings.FILE
    identity = Identity(state / IDENTITY)
    enrolled = path.exists() and identity.is_enrolled() and not again
    if path.exists():
        _check_same_hub(settings.load(state).hub_id, wanted, state)
    if not enrolled:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        waits_for = _enrol_or_keep(wanted, identity, state)
        if not path.exists():
            write_whole(path, text.encode(), mode=0o600)
    else:
        waits_for = None
    if wanted.pairing is not None and wanted.pairing != kept_code(state):
        keep_code(state, wanted.pairing)
    result: dict[str, object] = {"hub_id": wanted.hub_id, "state": str(state), "already_enrolled": enrolled}
    said = "was enrolled already: nothing to do" if enrolled else "is enrolled"
    if waits_for is not None:
        result["waits_for"] = waits_for
        said = f"enrols by itself once it can ({waits_for}); its claim is kept until then"
    show(result, as_json, f"Hub {wanted.hub_id} {said}. Next: bedside-agent run --state {state}")


def _enrol_or_keep(wanted: Claim, identity: Identity, state: Path) -> str | None:
    """Why the claim had to be kept; None when the hub is enrolled."""
    try:
        enrol(wanted, identity, knows_time=SystemClock().now().quality is ClockQuality.SYNCED)
    except EnrolmentError as error:
        if not error.retry:
            raise
        pending.keep(state, claim_text(wanted))
        return error.what
    pending.used(state)
    return None


for command in (doctor_command.doctor, hub_commands.bundle, hub_commands.wipe):
    app.command()(command)


@app.command()
def run(state: State = STATE, verbose: Verbose = False) -> None:
    """Read the devices, keep and send their readings, raise alarms. Stops cleanly on SIGTERM or Ctrl-C.

    bedside-agent run --state /var/lib/bedside
    """
    serve(state, verbose=verbose)


@app.command()
def check(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """Whether this version can work with the hub's settings, identity and buffer's schema. Changes nothing.

    bedside-agent check --state /var/lib/bedside
    """
    loaded = settings.load(state)
    Identity(state / IDENTITY).tls_context()
    check_readable(state / BUFFER)
    check_keys(state / BUFFER)
    show(
        {"hub_id": loaded.hub_id, "ok": True}, as_json, f"Hub {loaded.hub_id}: settings, identity and buffer are fine."
    )


@app.command()
def status(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """How the running agent is: connection, receipts, devices, what waits.

    bedside-agent status --json
    """
    report = health.ask(state, memory_for(state))
    if as_json:
        print_json(report)
        return
    console = Console()
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(report):
        facts.add_row(name, value)
    console.print(facts)
    if report["devices"]:
        console.print(device_commands.device_table(report["devices"]))


@app.command()
def quiet(state: State = STATE, verbose: Verbose = False) -> None:
    """Make the alarms that sound now quiet for ten minutes. Anything new or worse sounds again, and nothing is ended.

    bedside-agent quiet --state /var/lib/bedside
    """
    os.kill(health.ask(state, memory_for(state))["pid"], signal.SIGUSR1)


def main() -> None:
    """The program `bedside-agent`."""
    try:
        app()
    except NotRunningError as error:
        _explain(error)
        sys.exit(NOT_RUNNING)
    except Exception as error:  # the last one who can say what happened
        failed = as_agent_error(error)
        if failed is None:
            raise
        _explain(failed)
        sys.exit(FAILED)


def _explain(error: AgentError) -> None:
    """What happened, why it probably did, and the command that fixes it."""
    if is_verbose():
        traceback.print_exc()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]Error:[/] {escaped(error.what)}")
    if error.cause:
        console.print(f"Probably: {escaped(error.cause)}")
    if error.fix:
        console.print(f"Try: {escaped(error.fix)}")


def _check_same_hub(present: str, wanted: Claim, state: Path) -> None:
    if present != wanted.hub_id:
        raise ClaimError(f"{state} belongs to hub {present}, the claim is for {wanted.hub_id}")


def _facts(report: Report) -> list[tuple[str, str]]:
    connected = report["connected_since_ms"]
    plan = report["plan"]
    trying = f"not connected: {report['last_error'] or 'trying'}"
    link = f"connected since {time_text(connected)}" if connected else trying
    return [
        ("hub", escaped(f"{report['hub_id']} (agent {report['agent_version']})")),
        ("cloud", escaped(f"{report['broker']}, {link}")),
        ("last receipt", time_text(report["last_receipt_ms"])),
        ("waiting", ", ".join(f"{count} {lane}" for lane, count in report["waiting"].items())),
        ("care plan", f"version {plan['version']}{'' if plan['active'] else ' (not active)'}" if plan else "none yet"),
        ("alarms", ", ".join(report["alarms"]) or "none"),
        ("clock", report["clock"]),
        ("buffer", escaped(report["store_error"] or "ok")),
    ]
