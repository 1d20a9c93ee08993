"""Simulated devices around the small machine, and what the hub in it has told the cloud of them."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.readings import HUB
from tests.support.storing_cloud import StoringCloud, at_broker
from tests.support.truth import Row, differences, emitted
from tests.support.vm.machine import Machine, small_machine

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import add_device, first_text
from bedside_profiles.readings import Metric
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.journal import Journal
from bedside_sim.radio import AdapterServer, Air

WAIT_SECONDS = 180.0
"""For whatever happens inside: there everything takes long."""

ENDS_LINKS_IN_SECONDS = 1.5
"""Less than a tenth of a second for what is slowed down so much."""

Say = Callable[[int], Mapping[Metric, float]]
"""What a device says in its n-th second."""


class Ward:
    """`machine` runs the agent; what it tells is in `cloud`."""

    def __init__(self, machine: Machine, cloud: StoringCloud, journal: Path) -> None:
        self.machine = machine
        self.cloud = cloud
        self._journal = journal

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds; AssertionError with the console when it never does."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"never: {what}\n{self.events()}\n{self.machine.tail()}") from None

    async def until_told(self, device: Peripheral, at_least: int = 1) -> None:
        """Until the cloud holds what the device has said, which is `at_least` so many values; hold `busy` meanwhile."""

        def told() -> bool:
            said = self.said(device)
            return len(said) >= at_least and self.stored(device) == said

        try:
            await self.until(told, f"all that {device.device_id} said, and nothing else")
        except AssertionError as error:
            unlike = differences({"": self.said(device)}, {"": self.stored(device)})
            raise AssertionError(f"{unlike}\n{error}") from None

    async def until_events(self, device: Peripheral, kinds: list[str], *, after: int = 0) -> None:
        """Until the hub has told these events of the device, `after` so many others; they come when they come."""
        await self.until(lambda: len(self.events(device)) >= after + len(kinds), f"{kinds} of {device.device_id}")
        assert self.events(device)[after:] == kinds

    async def say(self, device: Peripheral, values: Mapping[Metric, float], *, spot: bool) -> None:
        """Have it say this as soon as somebody listens."""
        async with device.busy:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    while await device.emit(values, spot=spot) is None:  # type: ignore[attr-defined]
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise AssertionError(f"nobody listens to {device.device_id}\n{self.machine.tail()}") from None

    def said(self, device: Peripheral) -> list[Row]:
        """What it handed over, by its journal."""
        return emitted(self._journal).get(device.device_id, [])

    def stored(self, device: Peripheral) -> list[Row]:
        """What the cloud holds of it, in the hub's order; each identity once, as the cloud keeps it."""
        readings = {
            (batch.header.store_id, one.seq): one
            for batch in self.cloud.batches
            for one in batch.readings
            if one.device_id == device.device_id
        }
        return [
            (one.metric.value, one.value, None if one.range_flag is None else one.range_flag.value, one.modality.value)
            for _, one in sorted(readings.items(), key=lambda item: item[0][1])
        ]

    def events(self, device: Peripheral | None = None) -> list[str]:
        """The kinds of the events that the hub told, of one device or of all."""
        told = {
            (batch.header.store_id, one.seq): one.kind if device is not None else f"{one.device_id}: {one.kind}"
            for batch in self.cloud.batches
            for one in batch.events
            if device is None or one.device_id == device.device_id
        }
        return [kind for _, kind in sorted(told.items(), key=lambda item: item[0][1])]


@asynccontextmanager
async def ward(
    folder: Path, air: Air, entries: Sequence[DeviceEntry], journal: Path, authority: Authority
) -> AsyncIterator[Ward]:
    """A booted hub with those devices in its settings, connected with a cloud that stores."""
    require_mosquitto()
    broker = Mosquitto(folder / "broker", authority)
    state = folder / "state"
    authority.write(state / "identity", authority.leaf(HUB))
    quiet = 'sound_command = "dd of=/dev/null status=none"\n'
    (state / "hub.toml").write_text(first_text(HUB, "localhost", broker.port, "bluez") + quiet)
    for entry in entries:
        add_device(state, entry)
    cloud = StoringCloud(HUB, tells_time=True)
    adapter = await AdapterServer.start(air, 0, ends_links_in_seconds=ENDS_LINKS_IN_SECONDS)
    broker.start()
    try:
        async with (
            at_broker(cloud, broker.port, authority, folder / "cloud"),
            small_machine(folder, state, adapter.port) as machine,
        ):
            await machine.start_bluetoothd()
            await machine.start_agent()
            yield Ward(machine, cloud, journal)
    finally:
        broker.stop()
        await adapter.stop()


@asynccontextmanager
async def speaking(device: Peripheral, say: Say) -> AsyncIterator[None]:
    """The device says something each second meanwhile, unless somebody holds `busy`."""

    async def speak() -> None:
        for second in itertools.count():
            async with device.busy:
                await device.emit(say(second), spot=False)  # type: ignore[attr-defined]
            await asyncio.sleep(1)

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def journal_of(folder: Path) -> Journal:
    """One for all devices."""
    return Journal(folder / "journal")
