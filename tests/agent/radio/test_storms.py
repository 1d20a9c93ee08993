"""Links that drop all the time, and many devices at once, over the real link layer and in the test's own time.

bleak, its Bumble backend, the virtual controllers and the sessions are the real ones; only the event loop's clock is
the test's own, so that an hour lasts as long as its work.
"""

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import in_process_central

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.bleak_link import BleakLink
from bedside_agent.radio.central import Target
from bedside_agent.radio.session import RadioSession
from bedside_agent.radio.slots import Slots
from bedside_profiles.bluetooth import pulse_oximeter
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.blood_pressure_cuff import BloodPressureCuff
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

pytestmark = pytest.mark.looptime

VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
PRESSURE = {Metric.SYSTOLIC_PRESSURE: 120.0, Metric.DIASTOLIC_PRESSURE: 80.0}
DROP_SECONDS, HOUR_SECONDS = 3.0, 3600.0
GAP_SECONDS = 5.0
SLOTS = 5


@pytest.fixture(autouse=True)
def slow_advertising(monkeypatch: pytest.MonkeyPatch) -> None:
    """As real devices do it, and a tenth of the work."""
    monkeypatch.setattr("bedside_sim.devices.peripheral.ADVERTISING_INTERVAL_MS", 500)


def address(number: int) -> str:
    return f"F0:BE:D5:1D:01:{number:02X}"


def session(
    profile: BleProfile, where: str, central: BleakCentral, slots: Slots, seed: int = 1
) -> tuple[RadioSession, Recorder]:
    ear = Recorder()
    target = Target(profile.service_uuid, address=where)
    return RadioSession(target, profile, central, ear, Told(), jitter=random.Random(seed), slots=slots), ear


@asynccontextmanager
async def running(*sessions: RadioSession) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in sessions]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled()]


async def when(condition: Callable[[], bool], seconds: float) -> None:
    """In the loop's own time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_link_that_drops_every_three_seconds_for_an_hour(tmp_path: Path) -> None:
    loop, air, journal = asyncio.get_running_loop(), Air(), Journal(tmp_path / "journal")
    oximeter = PulseOximeter(air, journal, device_id="oximeter", address=address(1))
    await oximeter.start()
    gaps: list[float] = []
    async with in_process_central(air) as central:
        one, ear = session(pulse_oximeter.PROFILE, address(1), central, Slots(SLOTS))
        async with running(one):
            await when(lambda: one.link is LinkState.CONNECTED, 60)
            end = loop.time() + HOUR_SECONDS
            while loop.time() < end:
                dropped_at, heard = loop.time(), len(ear.heard)
                if len(gaps) % 2:
                    await oximeter.drop()
                else:
                    oximeter.vanish()
                    oximeter.reappear()
                while len(ear.heard) == heard:
                    assert loop.time() < dropped_at + 60, "notifications did not resume"
                    await asyncio.sleep(0.05)
                    await oximeter.emit(VALUES, spot=False)
                gaps.append(loop.time() - dropped_at)
                await asyncio.sleep(max(0.0, dropped_at + DROP_SECONDS - loop.time()))
    await oximeter.stop()
    journal.close()
    assert len(gaps) > 0.9 * HOUR_SECONDS / DROP_SECONDS
    assert statistics.median(gaps) < GAP_SECONDS
    assert max(gaps) < 2 * GAP_SECONDS


@dataclass
class Attempts:
    """When each connection was asked for, and how many stood or were attempted at once."""

    at: dict[str, list[float]] = field(default_factory=dict)
    most: int = 0
    _now: int = 0

    def watch(self, patched: pytest.MonkeyPatch) -> None:
        connect, disconnect = BleakLink.connect, BleakLink.disconnect

        async def connected(link: BleakLink, timeout_seconds: float) -> None:
            self.at.setdefault(link.address, []).append(asyncio.get_running_loop().time())
            self._now += 1
            self.most = max(self.most, self._now)
            try:
                await connect(link, timeout_seconds)
            except BaseException:
                self._now -= 1
                raise

        async def disconnected(link: BleakLink, *, timeout_seconds: float) -> None:
            try:
                await disconnect(link, timeout_seconds=timeout_seconds)
            finally:
                self._now -= 1

        patched.setattr(BleakLink, "connect", connected)
        patched.setattr(BleakLink, "disconnect", disconnected)


async def test_twenty_devices_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once and one by one, for ten minutes. Fifteen stream; there are five slots."""
    loop, air, journal, dice = asyncio.get_running_loop(), Air(), Journal(tmp_path / "journal"), random.Random(7)
    attempts, slots = Attempts(), Slots(SLOTS)
    attempts.watch(monkeypatch)
    devices = [
        PulseOximeter(air, journal, device_id=f"oximeter-{number}", address=address(number)) for number in range(15)
    ] + [
        BloodPressureCuff(air, journal, device_id=f"cuff-{number}", address=address(number), every_seconds=60)
        for number in range(15, 20)
    ]
    for device in devices:
        await device.start()
    async with in_process_central(air) as central:
        told = [
            session(device.profile, device.address, central, slots, number) for number, device in enumerate(devices)
        ]
        async with running(*(one for one, _ in told)):
            end = loop.time() + 600
            while loop.time() < end:
                if dice.random() < 0.2:
                    for device in devices:
                        device.vanish()
                    await asyncio.sleep(dice.uniform(0, 20))
                    came_back_at = loop.time()
                    for device in devices:
                        device.reappear()
                    await asyncio.sleep(0.1)
                    at_once = sum(at >= came_back_at for all_at in attempts.at.values() for at in all_at)
                    assert at_once <= SLOTS
                for device in dice.sample(devices, 4):
                    device.vanish()
                    loop.call_later(dice.uniform(0.5, 30), device.reappear)
                for device in devices:
                    values, spot = (VALUES, False) if device.profile is pulse_oximeter.PROFILE else (PRESSURE, True)
                    await device.emit(values, spot=spot)
                await asyncio.sleep(dice.uniform(1, 5))
            assert any(one.link is LinkState.WAITING_FOR_SLOT for one, _ in told)
        cuffs = [len(ear.heard) for (one, ear), device in zip(told, devices, strict=True) if "cuff" in device.device_id]
    await asyncio.sleep(40)
    for device in devices:
        await device.stop()
    journal.close()
    assert attempts.most <= SLOTS
    assert all(cuffs)
