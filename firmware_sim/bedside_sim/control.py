"""Steers a running world from another process: one JSON object a line each way, on the loopback interface.

Every answer has `ok`; a refused command answers `{"ok": false, "error": …}`. See `COMMANDS` for what can be done.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bedside_profiles.profile import EncodeError
from bedside_profiles.readings import Metric
from bedside_sim.devices import device_faults
from bedside_sim.patients import Scenario
from bedside_sim.world import World

Answer = dict[str, Any]


class Control:
    """A server for one world. `quit` is set when somebody asked for the end."""

    def __init__(self, world: World) -> None:
        self.quit = asyncio.Event()
        self._world = world
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1; `port` 0 takes a free one. Returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._clients):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # The other side left, or sent a line beyond all limits: its connection ends, the world goes on.
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            command = json.loads(line)
            return {"ok": True, **await COMMANDS[command["do"]](self, command)}
        except (KeyError, TypeError, ValueError, EncodeError) as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}

    async def status(self, _command: Mapping[str, Any]) -> Answer:
        """`second`, `scenario`, and the `devices` as a hub's settings name them."""
        world = self._world
        return {
            "second": world.second,
            "scenario": world.scenario,
            "hci_port": world.hci_port,
            "devices": world.entries(),
        }

    async def scenario(self, command: Mapping[str, Any]) -> Answer:
        """`name`: the scenario begins with the next tick."""
        self._world.change(Scenario(command["name"]))
        return {}

    async def pause(self, _command: Mapping[str, Any]) -> Answer:
        """Answers when nothing is in flight any more."""
        await self._world.pause()
        return {"second": self._world.second}

    async def resume(self, _command: Mapping[str, Any]) -> Answer:
        """Tick again."""
        self._world.resume()
        return {}

    async def vanish(self, command: Mapping[str, Any]) -> Answer:
        """`device` goes out of range, or is unplugged."""
        await self._world.vanish(command["device"])
        return {}

    async def reappear(self, command: Mapping[str, Any]) -> Answer:
        """`device` is back."""
        await self._world.reappear(command["device"])
        return {}

    async def drop(self, command: Mapping[str, Any]) -> Answer:
        """`device` ends its connection and advertises again."""
        await self._world.drop(command["device"])
        return {}

    async def sleep(self, command: Mapping[str, Any]) -> Answer:
        """`device` falls asleep `after_seconds` of each connection from the next on; null: never."""
        seconds = command["after_seconds"]
        device_faults.sleep_after(self._world.devices[command["device"]], None if seconds is None else float(seconds))
        return {}

    async def forget_bonds(self, command: Mapping[str, Any]) -> Answer:
        """`device` knows no hub any more."""
        await device_faults.forget_bonds(self._world.devices[command["device"]])
        return {}

    async def drift(self, command: Mapping[str, Any]) -> Answer:
        """The clock of `device` goes ahead by `seconds`, or back."""
        device_faults.drift(self._world.devices[command["device"]], float(command["seconds"]))
        return {}

    async def refuse(self, command: Mapping[str, Any]) -> Answer:
        """`device` gives out nothing of its memory; with `refuses` false it does again."""
        device_faults.refuse(self._world.devices[command["device"]], refuses=bool(command.get("refuses", True)))
        return {}

    async def settle(self, command: Mapping[str, Any]) -> Answer:
        """`device` says the values that come before `celsius`, of which none counts."""
        device = self._world.devices[command["device"]]
        async with device.busy:
            await device_faults.settle(device, float(command["celsius"]))
        return {}

    async def pull_adapter(self, _command: Mapping[str, Any]) -> Answer:
        """The HCI transport under the hub breaks."""
        self._world.pull_adapter()
        return {}

    async def emit(self, command: Mapping[str, Any]) -> Answer:
        """`device` says exactly `values` now (metric to number), as a spot check with `spot`.

        Answers `emitted`, and with it `utc_ms` and `monotonic_ns` of just before it was handed over.
        """
        values = {Metric(metric): float(value) for metric, value in command["values"].items()}
        stamp = await self._world.emit(command["device"], values, spot=bool(command.get("spot", False)))
        if stamp is None:
            return {"emitted": False}
        return {"emitted": True, "utc_ms": stamp.utc_ms, "monotonic_ns": stamp.monotonic_ns}

    async def end(self, _command: Mapping[str, Any]) -> Answer:
        """Stop the simulator cleanly."""
        self.quit.set()
        return {}


COMMANDS: Mapping[str, Callable[[Control, Mapping[str, Any]], Awaitable[Answer]]] = {
    "status": Control.status,
    "scenario": Control.scenario,
    "pause": Control.pause,
    "resume": Control.resume,
    "vanish": Control.vanish,
    "reappear": Control.reappear,
    "drop": Control.drop,
    "sleep": Control.sleep,
    "forget_bonds": Control.forget_bonds,
    "drift": Control.drift,
    "refuse": Control.refuse,
    "settle": Control.settle,
    "pull_adapter": Control.pull_adapter,
    "emit": Control.emit,
    "quit": Control.end,
}
