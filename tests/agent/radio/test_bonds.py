"""What becomes of a bond: every row of the decision, then the whole way over both backends."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

import pytest
from tests.support.bluez.bus import ask_bluez
from tests.support.bluez.radio import bluez_central
from tests.support.sessions import Recorder, Told
from tests.support.virtual_radio import CUFF, OXIMETER, in_process_central, secured, until

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.bonds import BondStep, BondTrouble, next_step, trouble_of
from bedside_agent.radio.central import (
    AccessRefusedError,
    CallTimedOutError,
    ConnectFailedError,
    KeyRefusedError,
    LinkLostError,
    Pairing,
    PairingFailedError,
    RadioError,
    Target,
)
from bedside_agent.radio.patience import Wait
from bedside_agent.radio.session import RadioSession, Timing
from bedside_profiles.bluetooth import pulse_oximeter
from bedside_profiles.readings import Metric
from bedside_profiles.wire.status import LinkState
from bedside_sim.devices.pulse_oximeter import PulseOximeter
from bedside_sim.journal import Journal
from bedside_sim.radio import Air


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses have their own test."""
    monkeypatch.setattr("bedside_agent.radio.session.decide", lambda *_: Wait(0.1))


VALUES = {Metric.SPO2: 97.0, Metric.PULSE_RATE: 61.0}
TIMING = Timing(find_seconds=5, connect_seconds=5, call_seconds=2, disconnect_seconds=2, pair_seconds=5)
PASSKEY = 73519
DEVICE_PATH = "/org/bluez/hci0/dev_F0_BE_D5_1D_00_01"

YES, NO = True, False
# trouble, bonded, may pair, removed before → step; a bond that is fresh is always left
ROWS = [
    (BondTrouble.NEEDED, NO, YES, NO, BondStep.PAIR),
    (BondTrouble.NEEDED, NO, YES, YES, BondStep.PAIR),
    (BondTrouble.NEEDED, NO, NO, NO, BondStep.LEAVE),
    (BondTrouble.NEEDED, NO, NO, YES, BondStep.LEAVE),
    (BondTrouble.NEEDED, YES, YES, NO, BondStep.REMOVE),
    (BondTrouble.NEEDED, YES, NO, NO, BondStep.REMOVE),
    (BondTrouble.NEEDED, YES, YES, YES, BondStep.LEAVE),
    (BondTrouble.NEEDED, YES, NO, YES, BondStep.LEAVE),
    (BondTrouble.REFUSED, NO, YES, NO, BondStep.LEAVE),
    (BondTrouble.REFUSED, NO, YES, YES, BondStep.LEAVE),
    (BondTrouble.REFUSED, NO, NO, NO, BondStep.LEAVE),
    (BondTrouble.REFUSED, NO, NO, YES, BondStep.LEAVE),
    (BondTrouble.REFUSED, YES, YES, NO, BondStep.REMOVE),
    (BondTrouble.REFUSED, YES, NO, NO, BondStep.REMOVE),
    (BondTrouble.REFUSED, YES, YES, YES, BondStep.LEAVE),
    (BondTrouble.REFUSED, YES, NO, YES, BondStep.LEAVE),
    *[
        (trouble, bonded, may_pair, removed, BondStep.LEAVE)
        for trouble in (BondTrouble.NOT_MADE, BondTrouble.NONE)
        for bonded, may_pair, removed in product((NO, YES), repeat=3)
    ],
]


@pytest.mark.parametrize(("trouble", "bonded", "may_pair", "removed", "step"), ROWS)
def test_every_row(trouble: BondTrouble, bonded: bool, may_pair: bool, removed: bool, step: BondStep) -> None:
    assert next_step(trouble, bonded=bonded, may_pair=may_pair, removed=removed, fresh=False) is step
    assert next_step(trouble, bonded=bonded, may_pair=may_pair, removed=removed, fresh=True) is BondStep.LEAVE


def test_no_row_is_missing() -> None:
    assert {row[:4] for row in ROWS} == set(product(BondTrouble, (NO, YES), (NO, YES), (NO, YES)))


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (KeyRefusedError("unknown key"), BondTrouble.REFUSED),
        (AccessRefusedError("subscribe", 0x05), BondTrouble.NEEDED),
        (AccessRefusedError("subscribe", 0x0F), BondTrouble.NEEDED),
        (AccessRefusedError("subscribe", 0x03), BondTrouble.NONE),
        (PairingFailedError("no"), BondTrouble.NOT_MADE),
        (CallTimedOutError("subscribe", 10), BondTrouble.NONE),
        (LinkLostError("gone"), BondTrouble.NONE),
        (ConnectFailedError(OXIMETER, "no"), BondTrouble.NONE),
        (RadioError("something"), BondTrouble.NONE),
    ],
)
def test_what_an_error_says_of_the_bond(error: RadioError, trouble: BondTrouble) -> None:
    assert trouble_of(error) is trouble


def with_passkey(passkey: int | None, asked: list[str] | None = None) -> Pairing:
    async def ask() -> int | None:
        if asked is not None:
            asked.append("passkey")
        return passkey

    return Pairing(passkey=ask)


@asynccontextmanager
async def running(
    central: BleakCentral, pairing: Pairing | None = None
) -> AsyncIterator[tuple[RadioSession, Recorder, Told]]:
    ear, told = Recorder(), Told()
    target = Target(pulse_oximeter.SERVICE, address=OXIMETER)
    session = RadioSession(
        target,
        pulse_oximeter.PROFILE,
        central,
        ear,
        told,
        jitter=random.Random(1),
        timing=TIMING,
        pairing=pairing,
    )
    task = asyncio.create_task(session.run())
    try:
        yield session, ear, told
    finally:
        task.cancel()
        await asyncio.wait({task})


async def heard(device: PulseOximeter, session: RadioSession, ear: Recorder) -> None:
    """Wait for the link, and for a value over it."""
    await until(lambda: session.link is LinkState.CONNECTED)
    before = len(ear.heard)
    assert await device.emit(VALUES, spot=False) is not None
    await until(lambda: len(ear.heard) > before)


async def test_a_device_that_asks_for_a_bond_gets_one_and_keeps_it(
    central: BleakCentral, air: Air, tmp_path: Path
) -> None:
    async with secured(air, tmp_path) as device, running(central) as (session, ear, told):
        await heard(device, session, ear)
        await device.drop()
        await until(lambda: session.link is LinkState.LOST)
        await heard(device, session, ear)
        assert told.said == ["paired", "connected", "lost: the connection ended", "connected"]
        assert (device.pairing.attempts, ear.beginnings) == (1, 2)


async def test_a_device_that_shows_a_passkey(central: BleakCentral, air: Air, tmp_path: Path) -> None:
    asked: list[str] = []
    async with (
        secured(air, tmp_path, PASSKEY) as device,
        running(central, with_passkey(PASSKEY, asked)) as (session, ear, told),
    ):
        await heard(device, session, ear)
        assert told.said == ["paired", "connected"]
        assert asked == ["passkey"]


@pytest.mark.parametrize("passkey", [PASSKEY + 1, None])
async def test_a_wrong_or_unknown_passkey_makes_no_bond(
    central: BleakCentral, air: Air, tmp_path: Path, passkey: int | None
) -> None:
    async with secured(air, tmp_path, PASSKEY) as device:
        found = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)
        pairing = with_passkey(passkey)
        link = await central.connect(found, lambda: None, timeout_seconds=5, pairing=pairing)
        with pytest.raises(PairingFailedError):
            await link.pair(timeout_seconds=5)
        assert device.pairing.attempts == 1
        assert not await central.is_bonded(found)


async def test_one_that_may_not_pair_is_refused_and_gets_no_bond(
    central: BleakCentral, air: Air, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Under BlueZ the kernel begins to pair all the same, and asks the hub before it makes a key (seen with 5.66)."""
    begins_unasked = request.node.callspec.params["central"] == "bluez"
    async with secured(air, tmp_path) as device, running(central, Pairing(is_allowed=False)) as (session, ear, told):
        await until(lambda: ear.ends == 1)
        assert (told.said, device.pairing.attempts) == ([], 1 if begins_unasked else 0)
        assert session.link is LinkState.SEARCHING
        await until(lambda: session.last_error is not None)
        assert isinstance(session.last_error, AccessRefusedError)
        assert session.last_error.needs_pairing
        found = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)
        assert not await central.is_bonded(found)


async def test_a_passkey_that_nobody_knows_is_told_as_the_reason(
    central: BleakCentral, air: Air, tmp_path: Path
) -> None:
    async with secured(air, tmp_path, PASSKEY), running(central, with_passkey(None)) as (session, ear, told):
        await until(lambda: session.last_error is not None)
        assert isinstance(session.last_error, PairingFailedError)
        assert (told.said, ear.heard) == ([], [])


async def test_a_device_that_is_not_in_its_pairing_mode_is_asked_again(
    central: BleakCentral, air: Air, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with secured(air, tmp_path) as device:
        device.pairing.is_willing = False
        async with running(central) as (session, ear, told):
            await until(lambda: ear.ends == 1)
            assert told.said == []
            device.pairing.is_willing = True
            await heard(device, session, ear)
            assert told.said == ["paired", "connected"]


async def test_a_stale_bond_is_removed_once_and_told(
    central: BleakCentral, air: Air, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device forgot the hub, and is not in its pairing mode at first: all that while nothing more is removed."""
    removed: list[str] = []
    forget = BleakCentral.forget_bond

    async def counted(self: BleakCentral, found: object) -> None:
        removed.append("bond")
        await forget(self, found)  # type: ignore[arg-type]

    monkeypatch.setattr(BleakCentral, "forget_bond", counted)
    async with secured(air, tmp_path) as device, running(central) as (session, ear, told):
        await heard(device, session, ear)
        await device.forget_bonds()
        device.pairing.is_willing = False
        await device.drop()
        await until(lambda: session.link is LinkState.REPAIR_NEEDED)
        await until(lambda: device.pairing.attempts >= 2)
        assert session.link is LinkState.REPAIR_NEEDED
        device.pairing.is_willing = True
        await until(lambda: session.link is LinkState.CONNECTED, 30)
        await heard(device, session, ear)
        assert told.said == [
            "paired",
            "connected",
            "lost: the connection ended",
            "repair needed",
            "paired",
            "connected",
        ]
        assert removed == ["bond"]


async def test_a_bond_is_not_removed_because_a_device_does_not_answer(
    central: BleakCentral, air: Air, tmp_path: Path
) -> None:
    async with secured(air, tmp_path) as device, running(central) as (session, ear, told):
        await heard(device, session, ear)
        for _ in range(3):
            device.vanish()
            await until(lambda: session.link is LinkState.LOST)
            device.reappear()
            await heard(device, session, ear)
        assert "repair needed" not in told.said
        assert device.pairing.attempts == 1


async def test_a_bond_outlives_the_program_in_a_file_of_its_own(air: Air, tmp_path: Path) -> None:
    keys = tmp_path / "bonds.json"
    async with secured(air, tmp_path) as device:
        for _ in range(2):
            async with in_process_central(air, keys) as central, running(central) as (session, ear, _):
                await heard(device, session, ear)
            assert keys.stat().st_mode & 0o777 == 0o600
        assert device.pairing.attempts == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"F0:BE:D5:1D:00:01": {"ltk": {"value": "zz"}}}', b"\xff\xfe"])
async def test_a_damaged_file_of_keys_is_as_good_as_none(air: Air, tmp_path: Path, damage: bytes) -> None:
    keys = tmp_path / "bonds.json"
    keys.write_bytes(damage)
    async with (
        secured(air, tmp_path) as device,
        in_process_central(air, keys) as central,
        running(central) as (session, ear, told),
    ):
        await heard(device, session, ear)
        assert told.said == ["paired", "connected"]


async def test_a_device_that_never_answers_makes_no_bond_and_loses_none(
    central: BleakCentral, air: Air, tmp_path: Path
) -> None:
    """It is asked for the passkey until time is up: nothing is known of it afterwards that was not known before."""
    async with secured(air, tmp_path, PASSKEY) as device:
        found = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)

        async def never() -> int | None:
            await asyncio.Event().wait()
            return None

        link = await central.connect(found, lambda: None, timeout_seconds=5, pairing=Pairing(passkey=never))
        with pytest.raises(PairingFailedError, match="no answer within"):
            await link.pair(timeout_seconds=0.5)
        assert device.pairing.attempts == 1
        assert not await central.is_bonded(found)
        await link.disconnect(timeout_seconds=5)


async def test_a_bond_that_is_not_there_is_removed_without_a_word(
    central: BleakCentral, oximeter: PulseOximeter
) -> None:
    found = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)
    assert not await central.is_bonded(found)
    await central.forget_bond(found)
    again = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)
    await central.connect(again, lambda: None, timeout_seconds=5)


async def test_nobody_else_pairs_by_the_hubs_agent(air: Air, tmp_path: Path, oximeter: PulseOximeter) -> None:
    """It is BlueZ's default agent, so that BlueZ asks it for every device."""
    journal = Journal(tmp_path / "stranger")
    stranger = PulseOximeter(air, journal, device_id="stranger", address=CUFF)
    stranger.secure(passkey=PASSKEY)
    await stranger.start()
    async with bluez_central(air) as (central, _):
        found = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)
        await central.connect(found, lambda: None, timeout_seconds=5, pairing=with_passkey(PASSKEY))
        await central.scan(seconds=0.3)
        path = "/org/bluez/hci0/dev_F0_BE_D5_1D_00_02"
        await ask_bluez(path, "org.bluez.Device1", "Connect")
        with pytest.raises(AssertionError, match="AuthenticationFailed"):
            await ask_bluez(path, "org.bluez.Device1", "Pair")
        assert stranger.pairing.attempts == 1
    await stranger.stop()
    journal.close()


async def test_a_passkey_is_asked_for_although_a_device_without_one_comes_next(air: Air, tmp_path: Path) -> None:
    """BlueZ pairs at any moment of a connection, with what its agent can do then."""
    journal = Journal(tmp_path / "plain")
    plain = PulseOximeter(air, journal, device_id="plain", address=CUFF)
    plain.secure()
    await plain.start()
    async with secured(air, tmp_path, PASSKEY) as labelled, bluez_central(air) as (central, _):
        links = []
        for address, pairing in ((OXIMETER, with_passkey(PASSKEY)), (CUFF, Pairing())):
            found = await central.find(Target(pulse_oximeter.SERVICE, address=address), timeout_seconds=5)
            links.append(await central.connect(found, lambda: None, timeout_seconds=5, pairing=pairing))
        for link in links:
            await link.subscribe(pulse_oximeter.CONTINUOUS, lambda _: None, timeout_seconds=5)
            assert await link.is_bonded(timeout_seconds=5)
        assert (labelled.pairing.attempts, plain.pairing.attempts) == (1, 1)
        assert (labelled.pairing.asked_for, plain.pairing.asked_for) == (1, 0)
    await plain.stop()
    journal.close()


async def test_a_device_may_not_pair_any_more_when_its_connection_is_over(air: Air, tmp_path: Path) -> None:
    async with secured(air, tmp_path, PASSKEY) as device, bluez_central(air) as (central, _):
        found = await central.find(Target(pulse_oximeter.SERVICE, address=OXIMETER), timeout_seconds=5)
        link = await central.connect(found, lambda: None, timeout_seconds=5, pairing=with_passkey(PASSKEY))
        await link.disconnect(timeout_seconds=5)
        await until(lambda: not device.connected)
        await ask_bluez(DEVICE_PATH, "org.bluez.Device1", "Connect")
        with pytest.raises(AssertionError, match="AuthenticationFailed"):
            await ask_bluez(DEVICE_PATH, "org.bluez.Device1", "Pair")
