"""`bedside-sim devices`: a world as a process of its own, until a signal or a command ends it."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from bedside_sim.control import Control
from bedside_sim.journal import Journal
from bedside_sim.world import World, WorldSettings


async def run_devices(settings: WorldSettings, *, hci_port: int, journal_path: Path, control_port: int | None) -> None:
    """Run the world. When everything is there, one JSON line on standard output says so.

    `{"ready": true, "hci_port": …, "control_port": …, "devices": […]}`; ends on SIGTERM, SIGINT and `quit`.
    """
    journal = Journal(journal_path)
    world = await World.open(settings, journal, hci_port=hci_port)
    control = Control(world)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, control.quit.set)
    try:
        listening = await control.start(control_port) if control_port is not None else None
        ready = {"ready": True, "hci_port": world.hci_port, "control_port": listening, "devices": world.entries()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await _until_quit(world, control)
    finally:
        await control.stop()
        await world.close()
        journal.close()


async def _until_quit(world: World, control: Control) -> None:
    """A world that breaks ends the process with its error instead of standing still."""
    running = asyncio.create_task(world.run())
    asked = asyncio.create_task(control.quit.wait())
    await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if running.done():
        running.result()
    await world.pause()
    running.cancel()
    await asyncio.wait({running})
