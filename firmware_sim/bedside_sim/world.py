"""A hub's surroundings: one patient, their devices, and the air between them, in one process.

All devices share one tick, so that between ticks nothing is on its way: a test that pauses the world can kill and
restart whatever it likes and still know exactly what was emitted.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedside_profiles.readings import Metric
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.device import Device, Moment
from bedside_sim.devices.nonin_oximeter import NoninOximeter
from bedside_sim.devices.polar_h10 import PolarH10
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.devices.radio_device import RadioDevice
from bedside_sim.devices.radio_sets import KINDS
from bedside_sim.devices.serial_device import SerialDevice
from bedside_sim.faults import Flapping, LineFaults
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Scenario, vitals
from bedside_sim.radio import AdapterServer, Air

FIRST_FURTHER_PLACE = 16
"""Of the last byte of an address: those before belong to the devices that every world has."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """`lead_in_seconds` the patient is stable before `scenario` begins. `pty` None: no serial oximeter.

    `prefix` begins every device id, and `number` (0 to 255) the devices' addresses: worlds of one fleet differ in both.
    `serial` are further serial devices: a profile's name, each once, and the path of the line. `bluetooth` are the
    names of further profiles that a hub finds in the air, each once. `split` lets serial streams come in small pieces,
    `flapping` all links come and go.
    """

    seed: int
    scenario: Scenario = Scenario.STABLE
    lead_in_seconds: int = 0
    pty: Path | None = None
    serial: tuple[tuple[str, Path], ...] = ()
    bluetooth: tuple[str, ...] = ()
    cuff_every_seconds: int = 20
    prefix: str = "sim"
    number: int = 0
    tick_seconds: float = 1.0
    split: bool = False
    flapping: Flapping | None = None


class World:
    """Make it with `open`, then `run` it as a task; `close` at the end."""

    def __init__(self, settings: WorldSettings, air: Air, devices: Sequence[Device]) -> None:
        self.air = air
        self.devices = {device.device_id: device for device in devices}
        self._settings = settings
        self._scenario = Scenario.STABLE if settings.lead_in_seconds else settings.scenario
        self._scenario_began = 0
        self._next_scenario = (settings.lead_in_seconds, settings.scenario) if settings.lead_in_seconds else None
        self._second = 0
        self._links_up = True
        self._adapter: AdapterServer | None = None
        self._ticking = asyncio.Lock()
        self._may_tick = asyncio.Event()
        self._may_tick.set()

    @classmethod
    async def open(cls, settings: WorldSettings, journal: Journal, *, hci_port: int | None = None) -> "World":
        """All devices are there and advertise. `hci_port` offers a virtual adapter over TCP (0: any free port)."""
        air = Air()
        devices: list[Device] = [
            PulseOximeter(air, journal, device_id=f"{settings.prefix}-oximeter", address=_address(settings, 1)),
            BloodPressureCuff(
                air,
                journal,
                device_id=f"{settings.prefix}-cuff",
                address=_address(settings, 2),
                every_seconds=settings.cuff_every_seconds,
            ),
            PolarH10(air, journal, device_id=f"{settings.prefix}-strap", address=_address(settings, 3)),
        ]
        if settings.pty is not None:
            dice = random.Random(settings.seed) if settings.split else None
            devices.append(NoninOximeter(settings.pty, journal, device_id=f"{settings.prefix}-nonin", split=dice))
        for name, path in settings.serial:
            faults = LineFaults(random.Random(settings.seed), split=settings.split)
            devices.append(SerialDevice(name, path, journal, device_id=_device_id(settings, name), faults=faults))
        for name in settings.bluetooth:
            address = _address(settings, FIRST_FURTHER_PLACE + list(KINDS).index(name))
            devices.append(RadioDevice(name, air, journal, device_id=_device_id(settings, name), address=address))
        world = cls(settings, air, devices)
        for device in devices:
            await device.start()
        if hci_port is not None:
            world._adapter = await AdapterServer.start(air, hci_port)
        return world

    @property
    def hci_port(self) -> int | None:
        """The port of the virtual adapter, if there is one."""
        return None if self._adapter is None else self._adapter.port

    @property
    def second(self) -> int:
        """Ticks since the world began."""
        return self._second

    @property
    def scenario(self) -> Scenario:
        """What is happening to the patient now."""
        return self._scenario

    async def run(self) -> None:
        """Tick until cancelled. A tick that is late is not made up for."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._may_tick.wait()
            async with self._ticking:
                if self._may_tick.is_set():
                    await self.tick()
            due = max(due + self._settings.tick_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def tick(self) -> None:
        """One second of the patient; returns when everything said in it has been handed over."""
        second = self._second
        if self._next_scenario is not None and second >= self._next_scenario[0]:
            self.change(self._next_scenario[1])
        now = vitals(self._settings.seed, self._scenario, second - self._scenario_began)
        self._flap(second)
        moment = Moment(second, self._settings.tick_seconds)
        self._second += 1

        async def say(device: Device) -> None:
            async with device.busy:
                await device.second(now, moment)

        async with asyncio.TaskGroup() as saying:
            for device in self.devices.values():
                saying.create_task(say(device))

    def _flap(self, second: int) -> None:
        """Between two ticks, as every loss here."""
        flapping = self._settings.flapping
        if flapping is None or flapping.is_up(second) == self._links_up:
            return
        self._links_up = not self._links_up
        for device in self.devices.values():
            if self._links_up:
                device.reappear()
            else:
                device.vanish()

    def change(self, scenario: Scenario) -> None:
        """The scenario begins with the next tick."""
        self._scenario = scenario
        self._scenario_began = self._second
        self._next_scenario = None

    async def pause(self) -> None:
        """No tick until `resume`; returns when the one under way is over and nothing is in flight."""
        self._may_tick.clear()
        async with self._ticking:
            pass
        for device in self.devices.values():
            async with device.busy:
                pass

    def resume(self) -> None:
        """Tick again."""
        self._may_tick.set()

    async def emit(self, device_id: str, values: Mapping[Metric, float], *, spot: bool = False) -> Stamp | None:
        """Have a device say exactly these values now; when it did, or None when nobody listened. Raises KeyError."""
        device = self.devices[device_id]
        async with device.busy:
            return await device.emit(values, spot=spot)

    async def vanish(self, device_id: str) -> None:
        """Out of range or unplugged, between two of its values. Raises KeyError."""
        device = self.devices[device_id]
        async with device.busy:
            device.vanish()

    async def reappear(self, device_id: str) -> None:
        """Back again. Raises KeyError."""
        self.devices[device_id].reappear()

    async def drop(self, device_id: str) -> None:
        """The device ends its connection. Raises KeyError."""
        device = self.devices[device_id]
        async with device.busy:
            await device.drop()

    def pull_adapter(self) -> None:
        """Break the HCI transport under the hub."""
        if self._adapter is not None:
            self._adapter.pull()

    def entries(self) -> list[dict[str, str]]:
        """Each device as the hub's settings name it: device_id, profile, address or port, and what it needs beside."""
        return [
            {"device_id": device.device_id, "profile": device.profile_name, **device.whereabouts}
            for device in self.devices.values()
        ]

    async def close(self) -> None:
        """Everything is gone."""
        if self._adapter is not None:
            await self._adapter.stop()
        for device in self.devices.values():
            await device.stop()


def _device_id(settings: WorldSettings, profile_name: str) -> str:
    return f"{settings.prefix}-{profile_name.partition('.')[2].replace('_', '-')}"


def _address(settings: WorldSettings, place: int) -> str:
    return f"F0:BE:D5:1D:{settings.number:02X}:{place:02X}"
