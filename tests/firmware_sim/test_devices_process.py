"""`bedside-sim devices` as a process of its own, read by the agent's radio and serial code and steered from outside."""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.virtual_radio import until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.radio.central import AccessRefusedError, Target
from bedside_agent.radio.choice import open_central
from bedside_agent.serial.lines import open_line
from bedside_profiles.bluetooth import glucose, pulse_oximeter, record_access, thermometer
from bedside_profiles.profile import Decoded
from bedside_profiles.readings import Metric
from bedside_profiles.serial import taidoc
from bedside_profiles.serial.nonin_df2 import LINE, Df2Framer
from bedside_sim.devices import radio_sets
from bedside_sim.journal import read_journal

START = "from bedside_sim.cli import main; main()"


class Simulator:
    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any], journal: Path) -> None:
        self.process = process
        self.ready = ready
        self.journal = journal

    async def ask(self, **command: Any) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ready["control_port"])
        writer.write(json.dumps(command).encode() + b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def simulator(tmp_path: Path, *options: str) -> AsyncIterator[Simulator]:
    journal = tmp_path / "journal"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        START,
        *("devices", "--journal", str(journal), "--hci-port", "0", "--control-port", "0"),
        *("--pty", str(tmp_path / "line"), *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        yield Simulator(process, ready, journal)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_emits_one_exact_value_at_once_and_says_when(tmp_path: Path) -> None:
    async with simulator(tmp_path) as world:
        assert {device["profile"] for device in world.ready["devices"]} == {
            "bluetooth.pulse_oximeter",
            "bluetooth.blood_pressure",
            "bluetooth.polar_h10",
            "serial.nonin_df2",
        }
        await world.ask(do="pause")
        central = await open_central(f"bumble:tcp-client:127.0.0.1:{world.ready['hci_port']}", jitter=random.Random(1))
        address = next(device["address"] for device in world.ready["devices"] if device["device_id"] == "sim-oximeter")
        values = {"spo2": 85, "pulse_rate": 111}
        assert await world.ask(do="emit", device="sim-oximeter", values=values) == {"ok": True, "emitted": False}
        target = Target(pulse_oximeter.SERVICE, address=address)
        link = await central.connect(await central.find(target, timeout_seconds=10), lambda: None, timeout_seconds=10)
        heard: list[tuple[bytes, int]] = []
        await link.subscribe(
            pulse_oximeter.CONTINUOUS, lambda payload: heard.append((payload, time.monotonic_ns())), timeout_seconds=5
        )
        answer = await world.ask(do="emit", device="sim-oximeter", values=values)
        await until(lambda: bool(heard))
        payload, heard_ns = heard[0]
        decoded = pulse_oximeter.decode(pulse_oximeter.CONTINUOUS, payload).measurements
        assert {measurement.metric: measurement.value for measurement in decoded} == {
            Metric.SPO2: 85.0,
            Metric.PULSE_RATE: 111.0,
        }
        assert 0 < heard_ns - answer["monotonic_ns"] < 2_000_000_000
        entries = list(read_journal(world.journal))
        assert [(entry.device_id, entry.metric, entry.value) for entry in entries] == [
            ("sim-oximeter", "spo2", 85.0),
            ("sim-oximeter", "pulse_rate", 111.0),
        ]
        assert entries[0].monotonic_ns == answer["monotonic_ns"]
        await central.close()


async def test_the_serial_oximeter_says_one_set_a_second(tmp_path: Path) -> None:
    async with simulator(tmp_path, "--split", "--scenario", "desaturation", "--start-after", "600") as world:
        port = open_line(str(tmp_path / "line"), LINE)
        framer, sets = Df2Framer(), list[Decoded]()
        async with asyncio.timeout(15):
            while len(sets) < 3:
                for outcome in framer.feed(await port.read()):
                    assert isinstance(outcome, Decoded)
                    sets.append(outcome)
        await world.ask(do="pause")
        await port.close()
        status = await world.ask(do="status")
        assert status["scenario"] == "stable"
        entries = list(read_journal(world.journal))
        assert [entry.value for entry in entries][: 2 * len(sets)] == [
            measurement.value for decoded in sets for measurement in decoded.measurements
        ]
        between = entries[4].monotonic_ns - entries[2].monotonic_ns
        assert 0.7e9 < between < 1.6e9


async def test_refuses_what_makes_no_sense_and_goes_on(tmp_path: Path) -> None:
    async with simulator(tmp_path) as world:
        for command in (
            {"do": "dance"},
            {"do": "vanish", "device": "nobody"},
            {"do": "scenario", "name": "resurrection"},
            {"do": "emit", "device": "sim-strap", "values": {"spo2": 90}},
            {"do": "emit", "device": "sim-strap", "values": {"heart_rate": "many"}},
            {"do": "drift", "device": "sim-strap", "seconds": 60},
            {"do": "refuse", "device": "sim-cuff"},
            {"do": "settle", "device": "sim-cuff", "celsius": 37},
            {"do": "sleep", "device": "sim-nonin", "after_seconds": 1},
            {},
        ):
            answer = await world.ask(**command)
            assert answer["ok"] is False
            assert answer["error"]
        assert (await world.ask(do="status"))["ok"]


async def test_pause_stops_the_ticks_and_quit_ends_the_process(tmp_path: Path) -> None:
    async with simulator(tmp_path) as world:
        second = (await world.ask(do="pause"))["second"]
        assert (await world.ask(do="status"))["second"] == second
        await world.ask(do="scenario", name="recovery")
        assert (await world.ask(do="status"))["scenario"] == "recovery"
        await world.ask(do="resume")
        assert (await world.ask(do="quit"))["ok"]
        assert await asyncio.wait_for(world.process.wait(), 15) == 0
    assert not (tmp_path / "line").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    async with simulator(tmp_path) as world:
        world.process.send_signal(number)
        assert await asyncio.wait_for(world.process.wait(), 15) == 0
    assert not (tmp_path / "line").exists()


async def test_any_serial_device_can_be_started_by_its_profiles_name(tmp_path: Path) -> None:
    meter = tmp_path / "meter"
    async with simulator(tmp_path, "--serial", f"serial.taidoc_glucose={meter}") as world:
        (entry,) = [one for one in world.ready["devices"] if one["profile"] == "serial.taidoc_glucose"]
        assert entry == {"device_id": "sim-taidoc-glucose", "profile": "serial.taidoc_glucose", "port": str(meter)}
        answer = await world.ask(do="emit", device="sim-taidoc-glucose", values={"glucose": 112})
        assert answer["emitted"]
        port = open_line(str(meter), taidoc.LINE)
        count, heard = taidoc.TaiDocFrame(0x2B, from_hub=True).to_bytes(), b""
        async with asyncio.timeout(15):
            await port.write(count)
            while len(heard) < taidoc.FRAME_BYTES:
                heard += await port.read()
        assert int.from_bytes(heard[2:4], "little") >= 1
        await port.close()


@pytest.mark.parametrize("given", ["serial.toaster=/tmp/x", "serial.taidoc_glucose", "bluetooth.glucose=/tmp/x"])
async def test_a_serial_device_that_there_is_not_is_refused(tmp_path: Path, given: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, "devices", "--journal", str(tmp_path / "journal"), "--serial", given),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert b"PROFILE=PATH" in said


async def test_every_device_in_the_air_can_be_started_by_its_profiles_name(tmp_path: Path) -> None:
    options = [word for name in radio_sets.KINDS for word in ("--bluetooth", name)]
    async with simulator(tmp_path, *options) as world:
        entries = world.ready["devices"]
        assert [one["profile"] for one in entries[4:]] == list(radio_sets.KINDS)
        assert len({one["device_id"] for one in entries}) == len(entries)
        assert len({one["address"] for one in entries if "address" in one}) == len(entries) - 1
        for one in entries:
            DeviceEntry(**one)
        # One that advertises says it to everybody, whether somebody listens or not.
        await world.ask(do="pause")
        assert (await world.ask(do="emit", device="sim-mi-scale", values={"body_weight": 68.5}))["emitted"]
        assert ("sim-mi-scale", 68.5) in {(entry.device_id, entry.value) for entry in read_journal(world.journal)}


async def test_what_can_go_wrong_with_a_device_is_reached_from_outside(tmp_path: Path) -> None:
    options = ("--bluetooth", thermometer.PROFILE.name, "--bluetooth", glucose.PROFILE.name)
    async with simulator(tmp_path, *options) as world:
        await world.ask(do="pause")
        for command in (
            {"do": "drift", "device": "sim-thermometer", "seconds": 3600},
            {"do": "sleep", "device": "sim-glucose", "after_seconds": 2},
            {"do": "refuse", "device": "sim-glucose"},
            {"do": "forget_bonds", "device": "sim-cuff"},
        ):
            assert await world.ask(**command) == {"ok": True}
        central = await open_central(f"bumble:tcp-client:127.0.0.1:{world.ready['hci_port']}", jitter=random.Random(1))
        addresses = {one["device_id"]: one.get("address") for one in world.ready["devices"]}
        target = Target(thermometer.PROFILE.service_uuid, address=addresses["sim-thermometer"])
        link = await central.connect(await central.find(target, timeout_seconds=10), lambda: None, timeout_seconds=10)
        heard: list[bytes] = []
        for characteristic in (thermometer.MEASUREMENT, thermometer.INTERMEDIATE):
            await link.subscribe(characteristic, heard.append, timeout_seconds=5)
        assert await world.ask(do="settle", device="sim-thermometer", celsius=37.2) == {"ok": True}
        assert (await world.ask(do="emit", device="sim-thermometer", values={"body_temperature": 37.2}))["emitted"]
        await until(lambda: len(heard) == 4)
        (measured,) = thermometer.decode(thermometer.MEASUREMENT, heard[3]).measurements
        assert measured.value == 37.2
        assert measured.device_time is not None
        ahead = datetime.fromisoformat(measured.device_time) - datetime.now()  # noqa: DTZ005 - a device's wall time
        assert 3590 < ahead.total_seconds() < 3610
        await link.disconnect(timeout_seconds=5)
        lost = asyncio.Event()
        target = Target(glucose.PROFILE.service_uuid, address=addresses["sim-glucose"])
        link = await central.connect(await central.find(target, timeout_seconds=10), lost.set, timeout_seconds=10)
        with pytest.raises(AccessRefusedError):
            await link.write(record_access.CONTROL_POINT, bytes((1, 1)), timeout_seconds=5)
        await asyncio.wait_for(lost.wait(), 10)
        await central.close()


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        (["bluetooth.toaster"], b"the profiles are"),
        (["bluetooth.omron_hem"], b"cannot be played"),
        (["advert.mi_scale", "--bluetooth", "advert.mi_scale"], b"is there twice"),
    ],
)
async def test_a_device_in_the_air_that_there_is_not_is_refused(
    tmp_path: Path, given: list[str], answer: bytes
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, "devices", "--journal", str(tmp_path / "journal"), "--bluetooth", *given),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert answer in b" ".join(said.replace("│".encode(), b" ").split())
