"""A conversation carried out on a real link: in order, with refusals as answers, and an end."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from bumble.core import UUID
from bumble.gatt import Characteristic, Service
from tests.support.bluez.radio import bluez_central
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import OXIMETER, until

from bedside_agent.radio.central import Central, Target
from bedside_agent.radio.session import RadioSession, Timing
from bedside_profiles.bluetooth import blood_pressure, pulse_oximeter, thermometer
from bedside_profiles.conversation import (
    ClockMeasured,
    Finish,
    Known,
    LeaveAlone,
    Moment,
    Read,
    Remember,
    Step,
    Trouble,
    Write,
)
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.drifting_clock import DriftingClock
from bedside_sim.devices.peripheral import Heed, Peripheral, RefusedError
from bedside_sim.devices.thermometer import Thermometer
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

COMMANDS = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
STATUS = "8b00ace8-eb0b-49b0-bbe9-9aee0a26e1a3"
ABSENT = "8b00ace9-eb0b-49b0-bbe9-9aee0a26e1a3"
TIMING = Timing(find_seconds=5, connect_seconds=5, call_seconds=0.5, disconnect_seconds=2)
NOTHING = Known()
NOON = datetime(2026, 3, 2, 12, 0)  # noqa: DTZ001 - devices know no zone


@dataclass
class Script:
    """Says `first`, answers each value of a characteristic with `answers`, and writes down what it was told."""

    first: Sequence[Step] = ()
    answers: dict[str, Sequence[Step]] = field(default_factory=dict)
    wakes_at_seconds: float | None = None
    wake_after_seconds: float | None = None
    woken: Sequence[Step] = ()
    told: list[tuple[str, object]] = field(default_factory=list)

    def begin(self, now: Moment) -> Sequence[Step]:
        self.told.append(("begin", now.local))
        if self.wake_after_seconds is not None:
            self.wakes_at_seconds = now.seconds + self.wake_after_seconds
        return self.first

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        self.told.append((characteristic, payload))
        return self.answers.get(characteristic, ())

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        self.told.append(("refused", step))
        return ()

    def wake(self, now: Moment) -> Sequence[Step]:
        self.told.append(("wake", now.seconds >= (self.wakes_at_seconds or 0)))
        self.wakes_at_seconds = None
        return self.woken


@asynccontextmanager
async def device(
    air: Air,
    tmp_path: Path,
    heeds: dict[str, Heed],
    shows: dict[str, Callable[[], bytes]] | None = None,
    further: Sequence[Service] = (),
) -> AsyncIterator[Peripheral]:
    journal = Journal(tmp_path / "journal")
    made = Peripheral(
        air,
        pulse_oximeter.PROFILE,
        journal,
        device_id="device",
        name="Device",
        address=OXIMETER,
        heeds=heeds,
        shows=shows,
        further_services=further,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        journal.close()


@asynccontextmanager
async def talking(
    central: Central,
    script: Script | None,
    *,
    profile: BleProfile = pulse_oximeter.PROFILE,
    known: Known = NOTHING,
    local_time: Callable[[], datetime | None] = lambda: NOON,
) -> AsyncIterator[tuple[RadioSession, Recorder, Told]]:
    knew: list[Known] = []

    def converse(known: Known) -> Script:
        knew.append(known)
        assert script is not None
        return script

    ear, told = Recorder(), Told()
    session = RadioSession(
        Target(profile.service_uuid, address=OXIMETER),
        profile if script is None else replace(profile, converse=converse, commands=(COMMANDS,)),
        central,
        ear,
        told,
        jitter=random.Random(1),
        timing=TIMING,
        known=lambda: known,
        local_time=local_time,
    )
    task = asyncio.create_task(session.run())
    try:
        yield session, ear, told
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert script is None or set(knew) == {known}


async def test_steps_are_carried_out_in_order_and_values_come_back(central: Central, air: Air, tmp_path: Path) -> None:
    written: list[bytes] = []
    script = Script(
        first=(Write(b"one", COMMANDS), Read(STATUS), Write(b"two", COMMANDS, acknowledged=False)),
        answers={STATUS: (Write(b"three", COMMANDS), Remember("here"), ClockMeasured(5.0, is_set=False))},
    )
    async with (
        device(air, tmp_path, {COMMANDS: written.append}, {STATUS: lambda: b"well"}) as made,
        talking(central, script, known=Known("there")) as (session, ear, told),
    ):
        await until(lambda: len(written) == 3 and bool(ear.positions))
        assert written == [b"one", b"two", b"three"]
        assert script.told == [("begin", NOON), (STATUS, b"well")]
        # What was read is the conversation's alone; what is subscribed to goes to the ear as well, and first.
        assert ear.heard == []
        await made.say(pulse_oximeter.CONTINUOUS, [])
        await until(lambda: len(script.told) == 3)
        assert [uuid for _, uuid in ear.heard] == [pulse_oximeter.CONTINUOUS]
        assert ear.positions == ["here@0"]
        assert told.said == ["connected", "clock: 5.0 not set"]
        assert session.link is LinkState.CONNECTED


async def test_a_refusal_and_a_missing_characteristic_are_answers(central: Central, air: Air, tmp_path: Path) -> None:
    def refuse(_payload: bytes) -> None:
        raise RefusedError

    refused, absent, behind = Write(b"one", COMMANDS), Read(ABSENT), Read(STATUS)
    script = Script(first=(refused, absent, behind))
    async with (
        device(air, tmp_path, {COMMANDS: refuse}, {STATUS: lambda: b"well"}),
        talking(central, script) as (session, _, _),
    ):
        await until(lambda: len(script.told) == 4)
        assert script.told[1:] == [("refused", refused), ("refused", absent), (STATUS, b"well")]
        assert session.link is LinkState.CONNECTED


async def test_a_command_that_wants_a_bond_gets_one_once_and_a_side_matter_does_not(
    central: Central, air: Air, tmp_path: Path
) -> None:
    def wants_a_bond(_payload: bytes) -> None:
        raise RefusedError(0x05)

    script = Script(first=(Write(b"side", STATUS), Write(b"one", COMMANDS)))
    async with (
        device(air, tmp_path, {COMMANDS: wants_a_bond, STATUS: wants_a_bond}),
        talking(central, script) as (_, _, told),
    ):
        await until(lambda: any(one.startswith("lost: ") for one in told.said))
        assert script.told[:2] == [("begin", NOON), ("refused", Write(b"side", STATUS))]
        assert told.said[:2] == ["connected", "paired"]
        # It refuses all the same: this connection is over.
        assert "refused with ATT error 0x05" in told.said[2]


async def test_a_bond_that_bluez_made_by_itself_is_told(air: Air, tmp_path: Path) -> None:
    """For a side matter, which the device then answers: nothing fails that could tell of it before the link ends."""
    secret = Characteristic(
        UUID(ABSENT),
        Characteristic.Properties.READ,
        Characteristic.Permissions.READABLE | Characteristic.Permissions.READ_REQUIRES_ENCRYPTION,
        b"secret",
    )
    script = Script(first=(Read(ABSENT),))
    async with (
        bluez_central(air) as (central, _),
        device(air, tmp_path, {}, further=[Service(UUID("6E400001-B5A3-F393-E0A9-E50E24DCCA9E"), [secret])]) as made,
        talking(central, script) as (_, _, told),
    ):
        await until(lambda: (ABSENT, b"secret") in script.told)
        await made.drop()
        await until(lambda: len(told.said) >= 3)
        assert told.said[:2] == ["connected", "paired"]
        assert told.said[2].startswith("lost: ")


@pytest.mark.parametrize("hangs", [STATUS, COMMANDS])
async def test_no_answer_about_a_side_matter_is_a_refusal_and_about_its_own_ends_the_link(
    central: Central, air: Air, tmp_path: Path, hangs: str
) -> None:
    written: list[bytes] = []

    async def late() -> bytes:
        await asyncio.sleep(1.4 * TIMING.call_seconds)
        return b"well"

    script = Script(first=(Read(hangs), Write(b"one", COMMANDS)))
    shows = {hangs: late}
    async with (
        device(air, tmp_path, {COMMANDS: written.append}, shows),  # type: ignore[arg-type]  # Bumble awaits it
        talking(central, script) as (session, _, told),
    ):
        if hangs == STATUS:
            await until(lambda: written == [b"one"])
            assert script.told == [("begin", NOON), ("refused", Read(STATUS))]
            assert session.link is LinkState.CONNECTED
        else:
            await until(lambda: len(told.said) > 1)
            assert told.said[1] == "lost: read: no answer within 0.5 s"
            assert written == []


async def test_it_is_woken_at_its_time_and_what_it_says_last_ends_the_link(
    central: Central, air: Air, tmp_path: Path
) -> None:
    script = Script(wake_after_seconds=0.1, woken=(Trouble("it is tired"), Finish(0.3)))
    async with device(air, tmp_path, {}) as made, talking(central, script) as (session, ear, told):
        await until(lambda: "done" in told.said)
        assert told.said == ["connected", "trouble: it is tired", "done"]
        assert session.link is LinkState.SEARCHING
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert not made.connected
        await until(lambda: told.said.count("done") == 2)
        assert loop.time() - began > 0.3
        # Told once, though it was so at both connections.
        assert told.said == ["connected", "trouble: it is tired", "done", "connected", "done"]
        assert ear.ends == 2


async def test_a_device_that_ends_the_link_at_the_last_word_is_not_lost(
    central: Central, air: Air, tmp_path: Path
) -> None:
    parting: list[Peripheral] = []

    def end(_payload: bytes) -> None:
        parting[0].vanish()

    script = Script(first=(LeaveAlone(30.0), Write(b"goodbye", COMMANDS), Finish(30.0)))
    async with device(air, tmp_path, {COMMANDS: end}) as made, talking(central, script) as (session, _, told):
        parting.append(made)
        await until(lambda: "done" in told.said)
        assert told.said == ["connected", "done"]
        assert session.link is LinkState.SEARCHING


async def test_the_battery_is_read_beside_a_conversation(central: Central, air: Air, tmp_path: Path) -> None:
    script = Script(wake_after_seconds=0.1, woken=(Finish(30.0),))
    async with device(air, tmp_path, {}) as made, talking(central, script) as (_, ear, told):
        made.battery_percent = 33
        await until(lambda: "done" in told.said)
        assert ear.charges == [33]


async def test_a_cuffs_clock_is_told_once_and_set_again_at_each_connection(
    central: Central, air: Air, tmp_path: Path
) -> None:
    journal, clock = Journal(tmp_path / "journal"), DriftingClock(-78.0)
    made = Thermometer(air, journal, device_id="t", address=OXIMETER, every_seconds=60, clock=clock)
    await made.start()
    async with talking(central, None, profile=thermometer.PROFILE, local_time=datetime.now) as (_, ear, told):
        await until(lambda: len(told.said) == 2)
        offset = float(told.said[1].split()[1])
        assert told.said[1].endswith(" set")
        assert -79.5 <= offset <= -77.5
        assert abs(clock.ahead_seconds) <= 1.5
        await made.emit({Metric.BODY_TEMPERATURE: 37.5}, spot=True)
        await until(lambda: len(ear.heard) == 1)
        await made.drop()
        await until(lambda: len(clock.settings) == 2)
        await until(lambda: told.said.count("connected") == 2)
        assert [said for said in told.said if said.startswith("clock")] == told.said[1:2]
        clock.drift(20)
        await made.drop()
        await until(lambda: told.said[-1].startswith("clock: "))
        assert 18 <= float(told.said[-1].split()[1]) <= 22
    await made.stop()
    journal.close()


@pytest.mark.parametrize("profile", [blood_pressure.PROFILE])
async def test_a_hub_that_does_not_know_the_time_sets_no_clock(
    central: Central, air: Air, tmp_path: Path, profile: BleProfile
) -> None:
    journal, clock = Journal(tmp_path / "journal"), DriftingClock(-78.0)
    shows, heeds = clock.date_time()
    made = Peripheral(
        air, profile, journal, device_id="c", name="C", address=OXIMETER, shows=dict(shows), heeds=dict(heeds)
    )
    await made.start()
    async with talking(central, None, profile=profile, local_time=lambda: None) as (_, ear, told):
        await until(lambda: ear.charges == [80])
        assert clock.settings == []
        assert told.said == ["connected"]
    await made.stop()
    journal.close()
