"""A wedged adapter: what is taken for a sign of it, what is done and when, and how it goes over BlueZ."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.bluez.bus import set_powered
from tests.support.bluez.radio import bluez_central, faulty_bluez, killable_bluez
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import alarm, reading
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import OXIMETER, tcp_central, until

from bedside_agent.buffer.store import Store
from bedside_agent.radio import mending, recovery, signs
from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.central import (
    AccessRefusedError,
    ConnectFailedError,
    DeviceNotFoundError,
    RadioBusyError,
    RadioError,
    RadioUnavailableError,
    Target,
)
from bedside_agent.radio.mending import REBOOT_REQUEST, RESTART_REQUEST, Adapter, Mending, System
from bedside_agent.radio.patience import Wait
from bedside_agent.radio.recovery import (
    AGAIN_SECONDS,
    DAY_MS,
    GROUND,
    SETTLED_SECONDS,
    Rung,
    Standing,
    reboot_refusal,
    step,
)
from bedside_agent.radio.session import RadioSession, Timing
from bedside_agent.radio.signs import FAILING_SECONDS, SILENT_SECONDS, STALE_SECONDS, Signs, Trouble
from bedside_agent.reboots import Reboots
from bedside_profiles.bluetooth import pulse_oximeter
from bedside_profiles.readings import ClockQuality, Metric
from bedside_profiles.wire.status import LinkState
from bedside_profiles.wire.topics import UpLane
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.radio import AdapterServer, Air

BUSY = RadioBusyError("connect: InProgress")
GONE = RadioUnavailableError("no adapter")


def test_an_adapter_that_fails_for_a_while_is_in_trouble_until_something_goes_well() -> None:
    told = Signs()
    for now in range(int(FAILING_SECONDS)):
        told.failed("scan", GONE, now)
        assert told.trouble(now) is None
    told.failed("scan", GONE, FAILING_SECONDS)
    assert told.trouble(FAILING_SECONDS) == Trouble(0, "no adapter", is_silence=False)
    told.went_well("connect", FAILING_SECONDS)
    assert told.trouble(FAILING_SECONDS) is not None
    told.went_well("scan", FAILING_SECONDS)
    assert told.trouble(FAILING_SECONDS) is None


def test_a_failure_long_ago_says_nothing() -> None:
    told = Signs()
    told.failed("connect", BUSY, 0)
    told.failed("connect", BUSY, 30)
    assert told.trouble(30) is not None
    assert told.trouble(30 + STALE_SECONDS + 1) is None
    told.failed("connect", BUSY, 1000)
    assert told.trouble(1000) is None


@pytest.mark.parametrize(
    "error",
    [DeviceNotFoundError(60), ConnectFailedError(OXIMETER, "no"), AccessRefusedError("read", 5), RadioError("?")],
)
def test_what_a_device_does_is_no_sign_of_the_adapter(error: RadioError) -> None:
    told = Signs()
    for now in range(100):
        told.failed("connect", error, now)
    assert told.trouble(100) is None


def test_a_scan_that_hears_nobody() -> None:
    told = Signs()
    assert told.trouble(1000) is None
    for now in range(1000, 1100, 10):
        told.searching(now)
    assert told.trouble(1000 + SILENT_SECONDS - 1) is None
    trouble = told.trouble(1000 + SILENT_SECONDS)
    assert trouble is not None
    assert (trouble.since, trouble.is_silence) == (1000, True)
    told.heard(1091)
    assert told.trouble(1100) is None
    told.searching(1150)
    assert told.trouble(1091 + SILENT_SECONDS) is not None
    # Nobody searches any more: all are connected.
    assert told.trouble(1150 + STALE_SECONDS + 1) is None
    told.searching(5000)
    assert told.trouble(5000) is None


def test_each_rung_in_its_time_and_again_after_the_last() -> None:
    told, trouble, climb = Signs(), Trouble(0, "no adapter", is_silence=False), GROUND
    tried: list[tuple[int, Rung]] = []
    for now in range(0, 6000, 5):
        told.failed("scan", GONE, now)
        taken = step(climb, told, trouble, now)
        climb = taken.climb
        if taken.rung is not None:
            tried.append((now, taken.rung))
    first = 270 + int(AGAIN_SECONDS)
    second = first + 240 + 2 * int(AGAIN_SECONDS)
    assert tried == [
        (0, Rung.RESTART_SCAN),
        (30, Rung.POWER_CYCLE),
        (90, Rung.RESTART_SERVICE),
        (270, Rung.REBOOT),
        (first, Rung.POWER_CYCLE),
        (first + 60, Rung.RESTART_SERVICE),
        (first + 240, Rung.REBOOT),
        (second, Rung.POWER_CYCLE),
        (second + 60, Rung.RESTART_SERVICE),
    ]


@pytest.mark.parametrize(
    ("is_silence", "expected"),
    [
        (True, [(0, Rung.RESTART_SCAN), (1800, Rung.RESTART_SCAN), (5400, Rung.RESTART_SCAN)]),
        (
            False,
            [
                (0, Rung.RESTART_SCAN),
                (120, Rung.POWER_CYCLE),
                (360, Rung.RESTART_SERVICE),
                (1080, Rung.REBOOT),
                (2880, Rung.POWER_CYCLE),
            ],
        ),
    ],
)
def test_links_that_stand_are_spared(is_silence: bool, expected: list[tuple[int, Rung]]) -> None:
    told, climb, tried = Signs(), GROUND, []
    trouble = Trouble(0, "trouble", is_silence=is_silence, has_links=True)
    for now in range(0, expected[-1][0] + 5, 5):
        taken = step(climb, told, trouble, now)
        climb = taken.climb
        if taken.rung is not None:
            tried.append((now, taken.rung))
    assert tried == expected


@pytest.mark.parametrize(
    ("every_seconds", "for_seconds", "is_steady"),
    [(10, 3600, True), (89, 3650, True), (10, 3500, False), (91, 7200, False), (10, 0, False)],
)
def test_who_was_heard_all_the_time(every_seconds: int, for_seconds: int, is_steady: bool) -> None:
    told = Signs()
    assert not told.has_heard_steadily
    for now in range(0, for_seconds + 1, every_seconds):
        told.heard(now)
    assert told.has_heard_steadily == is_steady


def test_a_cuff_in_a_lonely_house_is_no_reason_to_reboot() -> None:
    """Heard for a minute, twice a day, for a week."""
    told = Signs()
    for use in range(14):
        for second in range(60):
            told.heard(use * 43_200 + second)
        assert not told.has_heard_steadily


def test_only_what_goes_well_after_the_rung_ends_the_climb() -> None:
    told, trouble = Signs(), Trouble(0, "silent", is_silence=True)
    climb = step(GROUND, told, trouble, 100).climb
    assert step(climb, told, None, 110) == recovery.Step(climb)
    told.heard(99)
    assert not step(climb, told, None, 110).is_over
    told.heard(111)
    told.failed("scan", GONE, 111)
    assert not step(climb, told, None, 112).is_over
    told.went_well("scan", 113)
    assert step(climb, told, None, 114) == recovery.Step(GROUND, is_over=True)


FINE = Standing(SETTLED_SECONDS, NOON_MS, True, (), 0, True)
FAILS, SILENT = Trouble(0, "no adapter", is_silence=False), Trouble(0, "silent", is_silence=True)
ONE, TWO = NOON_MS - 1000, NOON_MS - DAY_MS + 1000


@pytest.mark.parametrize(
    ("trouble", "heard", "standing", "refused"),
    [
        (FAILS, False, FINE, None),
        (SILENT, True, FINE, None),
        (SILENT, False, FINE, "there may be nobody"),
        (FAILS, False, replace(FINE, alarms_waiting=1), "alarm"),
        (FAILS, False, replace(FINE, buffer_is_safe=False), "memory"),
        (FAILS, False, replace(FINE, up_seconds=SETTLED_SECONDS - 1), "half an hour"),
        (FAILS, False, replace(FINE, reboots_ms=(ONE,)), None),
        (FAILS, False, replace(FINE, reboots_ms=(ONE, TWO)), "2 times"),
        (FAILS, False, replace(FINE, reboots_ms=(ONE, NOON_MS - DAY_MS)), None),
        (FAILS, False, replace(FINE, reboots_ms=(ONE, NOON_MS + 9 * DAY_MS)), "2 times"),
        (FAILS, False, replace(FINE, reboots_ms=(1, 2), knows_time=False), "2 times"),
    ],
)
def test_when_the_computer_may_be_rebooted(
    trouble: Trouble, heard: bool, standing: Standing, refused: str | None
) -> None:
    told = Signs()
    if heard:
        for now in range(0, 3700, 10):
            told.heard(now)
    said = reboot_refusal(trouble, told, standing)
    assert said is None if refused is None else said is not None and refused in said


# Over BlueZ, with every time a hundredth as long --------------------------------------------------------------------

VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
TIMING = Timing(find_seconds=1, connect_seconds=5, call_seconds=5, disconnect_seconds=2)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "FAILING_SECONDS", 0.2)
    monkeypatch.setattr(signs, "SILENT_SECONDS", 0.9)
    monkeypatch.setattr(recovery, "WAITS_SECONDS", {rung: 0.6 * place for place, rung in enumerate(Rung)})
    monkeypatch.setattr(mending, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr("bedside_agent.radio.session.decide", lambda *_: Wait(0.1))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "buffer.db", ManualClock())
    yield opened
    await opened.close()


@asynccontextmanager
async def mended(adapter: Adapter, store: Store, folder: Path) -> AsyncIterator[tuple[list[str], Path, ManualClock]]:
    """What was told, in words; the folder of the requests; the hub's clock, an hour after its start."""
    told: list[str] = []
    clock = ManualClock()
    clock.advance(hours=1)

    def tell(kind: str, fields: Mapping[str, str]) -> None:
        told.append(" ".join(filter(None, (kind.removeprefix("radio_"), fields.get("rung"), fields.get("adapter")))))

    task = asyncio.create_task(Mending([adapter], System(folder), Reboots(store, clock), tell).run())
    try:
        yield told, folder, clock
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()


@asynccontextmanager
async def reading_of(central: BleakCentral) -> AsyncIterator[tuple[RadioSession, Recorder]]:
    ear = Recorder()
    target = Target(pulse_oximeter.SERVICE, address=OXIMETER)
    session = RadioSession(target, pulse_oximeter.PROFILE, central, ear, Told(), jitter=random.Random(1), timing=TIMING)
    task = asyncio.create_task(session.run())
    try:
        yield session, ear
    finally:
        task.cancel()
        await asyncio.wait({task})


async def heard(device: PulseOximeter, session: RadioSession, ear: Recorder) -> None:
    await until(lambda: session.link is LinkState.CONNECTED, 20)
    before = len(ear.heard)
    assert await device.emit(VALUES, spot=False) is not None
    await until(lambda: len(ear.heard) > before)


@pytest.mark.parametrize("fault", ["is_wedged", "is_deaf"])
async def test_an_adapter_that_hangs_is_switched_off_and_on(
    air: Air, oximeter: PulseOximeter, store: Store, tmp_path: Path, hurried: None, fault: str
) -> None:
    """InProgress whatever is asked of it, or a scan that hears nobody: a new scan does not help."""
    async with faulty_bluez(air) as (central, daemon), mended(central, store, tmp_path) as (told, _, _):
        setattr(daemon.adapter, fault, True)
        async with reading_of(central) as (session, ear):
            await heard(oximeter, session, ear)
            await until(lambda: "works bluez" in told)
        assert told == ["repair restart_scan bluez", "repair power_cycle bluez", "works bluez"]
        assert daemon.adapter.switched == 2


async def test_an_adapter_that_was_switched_off_is_switched_on(
    air: Air, oximeter: PulseOximeter, store: Store, tmp_path: Path, hurried: None
) -> None:
    """NotReady, in BlueZ's words."""
    async with (
        faulty_bluez(air) as (central, _),
        mended(central, store, tmp_path) as (told, _, _),
        reading_of(central) as (session, ear),
    ):
        await heard(oximeter, session, ear)
        await set_powered(False)
        await until(lambda: session.link is not LinkState.CONNECTED)
        await heard(oximeter, session, ear)
        await until(lambda: "works bluez" in told)
        assert "repair power_cycle bluez" in told


async def test_a_dead_bluetoothd_is_asked_to_be_started_again(
    air: Air, oximeter: PulseOximeter, store: Store, tmp_path: Path, hurried: None
) -> None:
    """The system is this test: it does what systemd's unit does when the request is there."""
    central = BleakCentral(name="bluez")
    async with (
        killable_bluez(air) as bluez,
        mended(central, store, tmp_path / "requests") as (told, requests, _),
        reading_of(central) as (session, ear),
    ):
        await heard(oximeter, session, ear)
        await bluez.kill()
        await until(lambda: (requests / RESTART_REQUEST).exists(), 20)
        (requests / RESTART_REQUEST).unlink()
        await bluez.start()
        await heard(oximeter, session, ear)
        await until(lambda: "works bluez" in told)
        tried = [said for said in told if not said.startswith("repair_failed")]
        assert tried[:3] == [
            f"repair {rung} bluez" for rung in (Rung.RESTART_SCAN, Rung.POWER_CYCLE, Rung.RESTART_SERVICE)
        ]
        assert tried[-1] == "works bluez"
    await central.close()


async def test_an_adapter_whose_object_is_gone_climbs_the_ladder_too(
    air: Air, oximeter: PulseOximeter, store: Store, tmp_path: Path, hurried: None
) -> None:
    """UnknownObject, in D-Bus's words: bluetoothd lives, and its adapter is there no more until it is started again."""
    async with (
        bluez_central(air) as (central, server),
        mended(central, store, tmp_path / "requests") as (told, requests, _),
        reading_of(central) as (session, ear),
    ):
        await heard(oximeter, session, ear)
        port = server.port
        await server.stop()
        await until(lambda: (requests / RESTART_REQUEST).exists(), 20)
        again = await AdapterServer.start(air, port)
        (requests / RESTART_REQUEST).unlink()
        await heard(oximeter, session, ear)
        await until(lambda: any(said.startswith("works") for said in told))
        tried = [said.split()[1] for said in told if said.startswith("repair ")]
        assert tried[:3] == [Rung.RESTART_SCAN, Rung.POWER_CYCLE, Rung.RESTART_SERVICE]
        assert any(said.startswith("repair_failed power_cycle") for said in told)
        await again.stop()


async def test_a_power_cycle_without_bluez_begins_anew_with_the_controller(
    air: Air, oximeter: PulseOximeter, hurried: None
) -> None:
    async with tcp_central(air) as (central, _, _), reading_of(central) as (session, ear):
        await heard(oximeter, session, ear)
        await central.power_cycle()
        await until(lambda: session.link is LinkState.LOST)
        await heard(oximeter, session, ear)


async def test_the_last_rung_is_a_reboot_that_is_counted_and_loses_nothing(
    air: Air, oximeter: PulseOximeter, tmp_path: Path, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(tmp_path / "buffer.db", ManualClock())
    monkeypatch.setattr(recovery, "AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(recovery, "LONGEST_AGAIN_SECONDS", 0.2)
    readings, durable = store.append_readings([reading(value=float(number)) for number in range(20)])
    await durable
    async with (
        faulty_bluez(air) as (central, daemon),
        mended(central, store, tmp_path / "requests") as (told, requests, clock),
        reading_of(central),
    ):
        daemon.adapter.is_wedged = daemon.adapter.is_broken = True
        await until(lambda: "reboot_withheld bluez" in told, 30)
        assert [said for said in told if said.endswith("reboot bluez")] == ["repair reboot bluez"] * 2
        assert told[:4] == [f"repair {rung} bluez" for rung in Rung]
        assert (requests / RESTART_REQUEST).exists()
        assert (requests / REBOOT_REQUEST).exists()
        assert Reboots(store, clock).reboots() == f"[{clock.now().utc_ms}, {clock.now().utc_ms}]".encode()
    assert store.waiting()[UpLane.READINGS] == len(readings) == 20
    await store.close()
    again = await Store.open(tmp_path / "buffer.db", ManualClock())
    assert Reboots(again, clock).standing([]).buffer_is_safe
    assert len(recovery_record(again, clock)) == 2
    assert again.waiting()[UpLane.READINGS] == 20
    await again.close()


def recovery_record(store: Store, clock: ManualClock) -> list[int]:
    return mending._times(Reboots(store, clock).reboots())


@pytest.mark.parametrize("record", [b"", b"no", b"[null]", b"3"])
def test_a_record_that_cannot_be_read_counts_as_full(record: bytes) -> None:
    assert reboot_refusal(FAILS, Signs(), replace(FINE, reboots_ms=mending._times(record))) is not None


async def test_what_a_reboot_depends_on_is_what_the_buffer_says(store: Store) -> None:
    clock = ManualClock(quality=ClockQuality.UNSYNCED)
    before = Reboots(store, clock).standing([1])
    assert before == Standing(100, clock.now().utc_ms, False, [1], 0, True)
    _, durable = store.append_alarm(alarm())
    await durable
    assert Reboots(store, clock).standing([1]) == replace(before, alarms_waiting=1)
