"""One session against a real peripheral on the virtual link: it comes back from everything by itself."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import OXIMETER, tcp_central, until

from bedside_agent.radio.central import Central, Target
from bedside_agent.radio.session import RadioSession, Timing
from bedside_profiles.bluetooth import blood_pressure, heart_rate, pulse_oximeter
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal, read_journal
from bedside_sim.radio import Air

VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
TIMING = Timing(find_seconds=5, connect_seconds=5, call_seconds=5, disconnect_seconds=2)


@asynccontextmanager
async def running(
    central: Central, profile: BleProfile = pulse_oximeter.PROFILE
) -> AsyncIterator[tuple[RadioSession, Recorder, Told]]:
    ear, told = Recorder(), Told()
    session = RadioSession(
        Target(profile.service_uuid, address=OXIMETER),
        profile,
        central,
        ear,
        told,
        jitter=random.Random(1),
        timing=TIMING,
    )
    task = asyncio.create_task(session.run())
    try:
        yield session, ear, told
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_hears_notifications_and_indications(central: Central, oximeter: PulseOximeter) -> None:
    async with running(central) as (session, ear, told):
        assert session.link is LinkState.SEARCHING
        await until(lambda: session.link is LinkState.CONNECTED)
        await oximeter.emit(VALUES, spot=False)
        await oximeter.emit(VALUES, spot=True)
        await until(lambda: len(ear.heard) == 2)
        assert {uuid for _, uuid in ear.heard} == {pulse_oximeter.CONTINUOUS, pulse_oximeter.SPOT_CHECK}
        assert told.said == ["connected"]
    assert not oximeter.connected


async def test_subscribes_again_after_every_loss(central: Central, oximeter: PulseOximeter, tmp_path: Path) -> None:
    async with running(central) as (session, ear, told):
        for loss in range(3):
            await until(lambda: session.link is LinkState.CONNECTED)
            for _ in range(5):
                await oximeter.emit(VALUES, spot=False)
            await until(lambda loss=loss: len(ear.heard) == 5 * (loss + 1))  # type: ignore[misc]
            if loss % 2:
                await oximeter.drop()
            else:
                oximeter.vanish()
            await until(lambda: session.link is LinkState.LOST)
            if not loss % 2:
                oximeter.reappear()
        await until(lambda: session.link is LinkState.CONNECTED)
        assert (ear.beginnings, ear.ends) == (4, 3)
        assert told.said == ["connected", "lost: the connection ended"] * 3 + ["connected"]
    assert len(list(read_journal(tmp_path / "journal"))) == 2 * len(ear.heard)


async def test_a_loss_in_the_middle_of_a_stream_loses_nothing_that_was_emitted(
    air: Air, oximeter: PulseOximeter, tmp_path: Path
) -> None:
    async with tcp_central(air) as (central, _, _), running(central) as (session, ear, _):
        for _ in range(3):
            await until(lambda: session.link is LinkState.CONNECTED)
            for _ in range(50):
                await oximeter.emit(VALUES, spot=False)
            oximeter.vanish()
            assert await oximeter.emit(VALUES, spot=False) is None or oximeter.connected
            await until(lambda: session.link is LinkState.LOST)
            oximeter.reappear()
        emitted = len(list(read_journal(tmp_path / "journal"))) // 2
        assert emitted >= 150
        assert len(ear.heard) == emitted


async def test_comes_back_when_the_hci_transport_does(air: Air, oximeter: PulseOximeter) -> None:
    async with tcp_central(air) as (central, server, _), running(central) as (session, ear, _):
        for round_ in range(2):
            await until(lambda: session.link is LinkState.CONNECTED)
            await oximeter.emit(VALUES, spot=False)
            await until(lambda round_=round_: len(ear.heard) == round_ + 1)  # type: ignore[misc]
            server.pull()
            await until(lambda: session.link is LinkState.LOST)


async def test_a_connected_device_that_says_nothing_is_connected_anew(
    central: Central, oximeter: PulseOximeter
) -> None:
    impatient = replace(pulse_oximeter.PROFILE, silence_seconds=0.2)
    async with running(central, impatient) as (_, _, told):
        await until(lambda: told.said.count("connected") == 2)
        assert told.said[1] == "lost: connected, but silent for 0.2 s"


async def test_a_device_that_only_speaks_now_and_then_may_be_silent(central: Central, air: Air, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    cuff = Peripheral(air, blood_pressure.PROFILE, journal, device_id="cuff", name="Cuff", address=OXIMETER)
    await cuff.start()
    async with running(central, blood_pressure.PROFILE) as (session, _, told):
        await until(lambda: session.link is LinkState.CONNECTED)
        await asyncio.sleep(0.3)
        assert told.said == ["connected"]
    await cuff.stop()
    journal.close()


async def test_another_device_than_configured_is_given_up(
    central: Central, air: Air, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.radio.patience.WRONG_DEVICE_ATTEMPTS", 1)
    journal = Journal(tmp_path / "journal")
    strap = Peripheral(air, heart_rate.PROFILE, journal, device_id="strap", name="Strap", address=OXIMETER)
    await strap.start()
    async with running(central) as (session, _, told):
        await until(lambda: bool(told.said))
        assert told.said == [f"given up: the device has no characteristic {pulse_oximeter.CONTINUOUS}"]
        assert session.link is LinkState.LOST
    await strap.stop()
    journal.close()


async def test_who_is_not_there_is_searched_until_he_comes(central: Central, oximeter: PulseOximeter) -> None:
    oximeter.vanish()
    async with running(central) as (session, _, told):
        await asyncio.sleep(0.2)
        assert session.link is LinkState.SEARCHING
        assert told.said == []
        oximeter.reappear()
        await until(lambda: session.link is LinkState.CONNECTED)


async def test_reads_how_full_the_battery_is_at_each_connection(central: Central, oximeter: PulseOximeter) -> None:
    oximeter.battery_percent = 15
    async with running(central) as (_, ear, _):
        await until(lambda: ear.charges == [15])
        oximeter.battery_percent = 4
        await oximeter.drop()
        await until(lambda: ear.charges == [15, 4])
        assert ear.heard == []
