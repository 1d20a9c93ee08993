"""Every serial device of the catalogue, from the simulator's bytes to the hub's disk, with what goes wrong between."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from tests.support.serial_station import heard_from, serial_room
from tests.support.virtual_radio import until

from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.profile import SerialProfile
from bedside_sim.devices.kinds import FIRST_MOMENT
from bedside_sim.devices.serial_sides import Memory, NoninSide, PersonalHealthSide, TaiDocSide, side_of

SERIAL = tuple(profile for profile in CATALOGUE if isinstance(profile, SerialProfile))
METERS = tuple(profile for profile in SERIAL if side_of(profile).keeps)
ASKED = (*(one.name for one in METERS if one.name != "serial.bayer_contour"), "serial.contec_cms50")
"""Those that the hub speaks to first."""

every_device = pytest.mark.parametrize("profile", SERIAL, ids=lambda profile: profile.name)
every_meter = pytest.mark.parametrize("profile", METERS, ids=lambda profile: profile.name)

ROWS = 12


@every_device
async def test_what_was_told_lies_on_the_disk(tmp_path: Path, profile: SerialProfile) -> None:
    async with serial_room(tmp_path, profile.name, memory=ROWS if side_of(profile).keeps else 0) as room:
        room.faults.split = True
        if side_of(profile).keeps:
            await until(lambda: len(room.told()) >= ROWS, 20)
        else:
            await room.measure_until_told(ROWS)
        await room.all_kept()
        assert room.device.side.harm == 0
        assert room.said(NoticeKind.DEVICE_TROUBLE) == []
        assert room.said(NoticeKind.FRAMES_REFUSED) == []


@every_device
async def test_a_device_that_is_plugged_in_again_is_read_again(tmp_path: Path, profile: SerialProfile) -> None:
    loop = asyncio.get_running_loop()
    keeps = side_of(profile).keeps
    async with serial_room(tmp_path, profile.name, memory=2 if keeps else 0) as room:
        for rows in (3, 6):
            if keeps:
                # What it measured while it was away is told with the rest of its memory.
                await until(lambda: len(room.told()) >= 2, 20)
            else:
                await room.measure_until_told(rows)
            async with room.device.busy:
                room.device.vanish()
            await until(lambda: bool(room.said(NoticeKind.DEVICE_LOST)), 20)
            if keeps:
                await room.measure()
            room.device.reappear()
            began, before = loop.time(), len(room.told())
            if keeps:
                await until(lambda before=before: len(room.told()) > before, 20)  # type: ignore[misc]
                # The pauses of a protocol that has to be asked, and the retries of one that was cut off, are in it.
                assert loop.time() - began < 5
        async with asyncio.timeout(20):
            while not set(room.told()) <= set(await room.kept()):
                await asyncio.sleep(0.02)


@every_meter
async def test_a_meters_memory_is_told_oldest_first_where_its_protocol_can(
    tmp_path: Path, profile: SerialProfile
) -> None:
    async with serial_room(tmp_path, profile.name, memory=5) as room:
        await until(lambda: bool(room.told()) and not room.device.is_open, 20)
        await room.all_kept()
        times = list(dict.fromkeys(one.device_time for one in await room.readings()))
        assert len(times) == 5
        # A dump is a dump: this one begins with the newest.
        assert times == sorted(times, reverse=profile.name == "serial.onetouch_ultra2", key=str)


@pytest.mark.parametrize("name", ASKED)
async def test_a_question_that_is_lost_is_asked_again(tmp_path: Path, name: str) -> None:
    async with serial_room(tmp_path, name, memory=3 if name != "serial.contec_cms50" else 0) as room:
        room.faults.unanswered = 2
        if name == "serial.contec_cms50":
            await until(lambda: not room.faults.unanswered, 20)
            await room.measure_until_told(3)
        else:
            await until(lambda: len(room.told()) >= 3, 20)
        assert room.faults.unanswered == 0
        await room.all_kept()
        assert room.said(NoticeKind.DEVICE_TROUBLE) == []


@pytest.mark.parametrize("name", ["serial.taidoc_glucose", "serial.onetouch_ultra2"])
async def test_a_meter_that_does_not_answer_is_said_so_once(tmp_path: Path, name: str) -> None:
    async with serial_room(tmp_path, name, memory=1) as room:
        room.faults.silent = True
        await heard_from(room, "does not answer")
        assert len(room.said(NoticeKind.DEVICE_TROUBLE)) == 1
        assert await room.kept() == []


@pytest.mark.parametrize(
    ("plays", "taken_for", "said"),
    [
        ("serial.nonin_df8", "serial.nonin_df2", "it would fit serial.nonin_df8"),
        ("serial.masimo_ascii", "serial.onetouch_ultra2", "it would fit serial.masimo_ascii"),
        ("serial.nellcor_ascii", "serial.masimo_ascii", "it would fit serial.nellcor_ascii"),
        ("serial.taidoc_blood_pressure", "serial.taidoc_glucose", "it is a TD-3128, which measures something else"),
        ("serial.contec_cms50_5_byte", "serial.taidoc_glucose", "it would fit serial.contec_cms50_5_byte"),
    ],
)
async def test_another_device_than_configured_is_named(tmp_path: Path, plays: str, taken_for: str, said: str) -> None:
    async with serial_room(tmp_path, plays, taken_for=taken_for, memory=1 if "taidoc" in plays else 0) as room:
        async with asyncio.timeout(20):
            while not room.said(NoticeKind.DEVICE_TROUBLE):
                if "taidoc" not in plays:
                    await room.measure()
                await asyncio.sleep(0.005)
        (trouble,) = room.said(NoticeKind.DEVICE_TROUBLE)
        assert said in trouble
        assert await room.kept() == []


@every_device
async def test_garbage_between_its_frames_makes_no_value(tmp_path: Path, profile: SerialProfile) -> None:
    """What the profile's framer makes of the same bytes, and what comes of them, is the same; nothing else is kept."""
    async with serial_room(tmp_path, profile.name, memory=3 if side_of(profile).keeps else 0) as room:
        room.faults.garbage_bytes = 5
        room.faults.split = True
        loop = asyncio.get_running_loop()
        until_seconds = loop.time() + 0.7
        while loop.time() < until_seconds:
            if not side_of(profile).keeps:
                await room.measure()
            await asyncio.sleep(0.02)
        measured = set(room.measured_rows)
        assert set(await room.kept()) <= measured


@pytest.mark.parametrize("name", ["serial.taidoc_blood_pressure", "serial.nonin_9560"])
async def test_a_clock_that_is_wrong_is_set(tmp_path: Path, name: str) -> None:
    async with serial_room(tmp_path, name, memory=1 if "taidoc" in name else 0, knows_time=True) as room:
        side = room.device.side
        assert isinstance(side, TaiDocSide | NoninSide)
        await until(lambda: abs((side.clock - datetime.now()).total_seconds()) < 61, 20)  # noqa: DTZ005 - as a device
        assert side.harm == 0


@pytest.mark.parametrize("name", ["serial.taidoc_blood_pressure", "serial.nonin_9560"])
async def test_a_hub_that_does_not_know_the_time_sets_no_clock(tmp_path: Path, name: str) -> None:
    async with serial_room(tmp_path, name, memory=1 if "taidoc" in name else 0) as room:
        side = room.device.side
        assert isinstance(side, TaiDocSide | NoninSide)
        before = side.clock
        if "taidoc" in name:
            await until(lambda: not room.device.is_open and len(room.told()) == 3, 20)
        else:
            await until(lambda: b"\x02\x72\x00\x03" in room.device.heard, 20)
            await room.measure_until_told(2)
        assert side.clock == before


async def test_a_report_is_forgotten_by_its_device_once_it_lies_on_the_disk(tmp_path: Path) -> None:
    async with serial_room(tmp_path, "serial.phd_scale") as room:
        side = room.device.side
        assert isinstance(side, PersonalHealthSide)
        for _ in range(4):
            await room.measure_until_told(len(room.told()) + 2)
            await until(lambda: side.unconfirmed == [], 20)
            assert await room.kept() == room.told()


@every_meter
@pytest.mark.parametrize("clock", [FIRST_MOMENT, datetime(2000, 1, 1)])  # noqa: DTZ001 - a device's own
async def test_a_memory_that_is_read_again_is_kept_once(
    tmp_path: Path, profile: SerialProfile, clock: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of a meter whose battery was out, whose results carry no time that can be believed."""
    monkeypatch.setattr("bedside_sim.devices.kinds.FIRST_MOMENT", clock)
    async with serial_room(tmp_path, profile.name, memory=4) as room:
        await until(lambda: bool(room.told()) and not room.device.is_open, 20)
        first = len(room.told())
        await room.device.drop()
        await room.measure()
        await until(lambda: len(room.told()) > first and not room.device.is_open, 20)
        await room.all_kept()
        assert len({one.group or one.seq for one in await room.readings()}) == 5


def test_what_is_kept_is_a_memory() -> None:
    assert all(isinstance(side_of(profile), Memory) for profile in METERS)
    assert {profile.name for profile in METERS} == {
        "serial.onetouch_ultra2",
        "serial.onetouch_ultraeasy",
        "serial.taidoc_glucose",
        "serial.taidoc_blood_pressure",
        "serial.taidoc_thermometer",
        "serial.bayer_contour",
    }
