"""`bedside-sim`: simulated devices and what is built on them."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bedside_sim.demo import DemoSettings, Until, run_demo, until_interrupted
from bedside_sim.devices import radio_sets, serial_sets
from bedside_sim.devices_process import run_devices
from bedside_sim.errors import DemoError
from bedside_sim.faults import Flapping
from bedside_sim.patients import Scenario
from bedside_sim.progress import Progress
from bedside_sim.world import WorldSettings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def simulator() -> None:
    """Simulated patients and devices for Bedside."""


@app.command()
def devices(
    journal: Annotated[Path, typer.Option(help="What was emitted is appended here, one JSON line a measurement.")],
    hci_port: Annotated[int, typer.Option(help="TCP port of the virtual Bluetooth adapter; 0: any free one.")] = 9123,
    pty: Annotated[Path | None, typer.Option(help="Path for the serial oximeter's line; without: none.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same patient.")] = 1,
    scenario: Annotated[Scenario, typer.Option(help="What happens to the patient.")] = Scenario.STABLE,
    start_after: Annotated[int, typer.Option(help="Seconds of a stable patient before the scenario begins.")] = 0,
    control_port: Annotated[int | None, typer.Option(help="TCP port for commands; 0: any free one.")] = None,
    cuff_every: Annotated[int, typer.Option(help="Seconds between two measurements of the cuff.")] = 20,
    prefix: Annotated[str, typer.Option(help="Begins every device's id.")] = "sim",
    number: Annotated[int, typer.Option(help="Makes the addresses of several worlds differ, 0 to 255.")] = 0,
    flap: Annotated[
        tuple[int, int] | None, typer.Option(help="All links are there for UP seconds, away for DOWN, and so on.")
    ] = None,
    serial: Annotated[
        list[str] | None, typer.Option(help="A further serial device, PROFILE=PATH; may be given again.")
    ] = None,
    bluetooth: Annotated[
        list[str] | None,
        typer.Option(help="A further device in the air, PROFILE, also one that only advertises; may be given again."),
    ] = None,
    split: Annotated[bool, typer.Option(help="Let the serial stream come in small pieces.")] = False,
) -> None:
    """Run a patient's four devices, and further ones, until SIGTERM, SIGINT or the command quit."""
    settings = WorldSettings(
        seed=seed,
        scenario=scenario,
        lead_in_seconds=start_after,
        pty=pty,
        serial=_serial(serial or []),
        bluetooth=_bluetooth(bluetooth or []),
        cuff_every_seconds=cuff_every,
        prefix=prefix,
        number=number,
        split=split,
        flapping=None if flap is None else Flapping(*flap),
    )
    asyncio.run(run_devices(settings, hci_port=hci_port, journal_path=journal, control_port=control_port))


def _serial(given: list[str]) -> tuple[tuple[str, Path], ...]:
    found: list[tuple[str, Path]] = []
    for one in given:
        name, _, path = one.partition("=")
        if name not in serial_sets.KINDS or not path:
            known = ", ".join(sorted(serial_sets.KINDS))
            raise typer.BadParameter(f"{one}: give PROFILE=PATH; the profiles are {known}")
        if name in (other for other, _ in found):
            raise typer.BadParameter(f"{name} is there twice")
        found.append((name, Path(path)))
    return tuple(found)


def _bluetooth(given: list[str]) -> tuple[str, ...]:
    for name in given:
        if name in radio_sets.NOT_PLAYED:
            raise typer.BadParameter(f"{name} cannot be played: {radio_sets.NOT_PLAYED[name]}")
        if name not in radio_sets.KINDS:
            raise typer.BadParameter(f"{name}: the profiles are {', '.join(sorted(radio_sets.KINDS))}")
        if given.count(name) > 1:
            raise typer.BadParameter(f"{name} is there twice")
    return tuple(given)


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Plain lines, nothing that moves.")] = False,
    until: Annotated[Until | None, typer.Option(help="Stop by itself at this point.")] = None,
    timeout: Annotated[float | None, typer.Option(min=1, help="Fail after this many seconds.")] = None,
    state: Annotated[Path | None, typer.Option(help="Keep everything here; a second run resumes it.")] = None,
    endpoints: Annotated[Path | None, typer.Option(help="Write addresses and log-ins here, as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same patient.")] = 1,
) -> None:
    """The whole path on this machine: cloud, hub, devices, a desaturation, its alert in the console.

    Example: bedside-sim demo --until first-alert --timeout 120
    """
    settings = DemoSettings(state, endpoints, seed, until, timeout)
    console = Console()
    progress = Progress(console, animated=console.is_terminal and not headless)
    asyncio.run(until_interrupted(run_demo(settings, progress)))


def main() -> None:
    """The console script. Exit codes: 0 done or stopped by Ctrl-C, 1 it could not go on, 2 wrong usage."""
    try:
        app()
    except DemoError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"Error: {error.happened}", style="bold red", markup=False)
        if error.known:
            console.print(error.known, markup=False)
        sys.exit(1)
