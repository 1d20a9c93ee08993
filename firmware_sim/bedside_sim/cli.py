"""`bedside-sim`: simulated devices and what is built on them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bedside_sim.devices_process import run_devices
from bedside_sim.faults import Flapping
from bedside_sim.patients import Scenario
from bedside_sim.world import WorldSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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
    split: Annotated[bool, typer.Option(help="Let the serial stream come in small pieces.")] = False,
) -> None:
    """Run a patient's four devices until SIGTERM, SIGINT or the command quit."""
    settings = WorldSettings(
        seed=seed,
        scenario=scenario,
        lead_in_seconds=start_after,
        pty=pty,
        cuff_every_seconds=cuff_every,
        prefix=prefix,
        number=number,
        split=split,
        flapping=None if flap is None else Flapping(*flap),
    )
    asyncio.run(run_devices(settings, hci_port=hci_port, journal_path=journal, control_port=control_port))


def main() -> None:
    """The console script."""
    app()
