"""One serial session on a real pseudo-terminal: pieces, silence, unplugging, and back."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.ptys import serial_line
from tests.support.sessions import Recorder, Told, now_without_wall_time
from tests.support.virtual_radio import until

from bedside_agent.serial.lines import open_line
from bedside_agent.serial.place import at_path
from bedside_agent.serial.port import PortError
from bedside_agent.serial.session import SerialSession
from bedside_profiles.profile import SerialProfile
from bedside_profiles.serial.nonin_df2 import LINE, PROFILE
from bedside_profiles.wire.status import LinkState


@asynccontextmanager
async def running(path: Path, profile: SerialProfile = PROFILE) -> AsyncIterator[tuple[SerialSession, Recorder, Told]]:
    ear, told = Recorder(), Told()
    session = SerialSession(
        at_path(str(path)), profile, open_line, ear, told, moment=now_without_wall_time, jitter=random.Random(1)
    )
    task = asyncio.create_task(session.run())
    try:
        yield session, ear, told
    finally:
        task.cancel()
        await asyncio.wait({task})


def heard(ear: Recorder) -> bytes:
    return b"".join(payload for payload, _ in ear.heard)


async def test_a_line_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(PortError) as error:
        open_line(str(tmp_path / "missing"), LINE)
    assert error.value.path == str(tmp_path / "missing")


async def test_a_line_has_one_reader(tmp_path: Path) -> None:
    with serial_line(tmp_path / "line"):
        port = open_line(str(tmp_path / "line"), LINE)
        with pytest.raises(PortError):
            open_line(str(tmp_path / "line"), LINE)
        await port.close()


async def test_reads_and_writes_all_bytes_unchanged(tmp_path: Path) -> None:
    everything = bytes(range(256))
    with serial_line(tmp_path / "line") as line:
        port = open_line(str(tmp_path / "line"), LINE)
        assert await line.write(everything)
        got = b""
        while len(got) < 256:
            got += await port.read()
        assert got == everything
        await port.write(everything)
        await port.close()


async def test_connected_only_while_bytes_come(tmp_path: Path) -> None:
    with serial_line(tmp_path / "line") as line:
        async with running(tmp_path / "line") as (session, ear, told):
            await until(line.is_open)
            assert told.said == []
            await line.write(b"abc")
            await until(lambda: heard(ear) == b"abc")
            assert session.link is LinkState.CONNECTED
            assert told.said == ["connected"]
        assert not line.is_open()


async def test_a_silent_line_is_opened_again(tmp_path: Path) -> None:
    with serial_line(tmp_path / "line") as line:
        async with running(tmp_path / "line", replace(PROFILE, silence_seconds=0.1)) as (session, ear, told):
            await until(line.is_open)
            await line.write(b"a")
            await until(lambda: session.link is LinkState.LOST)
            await until(lambda: ear.beginnings == 2)
            await line.write(b"b")
            await until(lambda: heard(ear) == b"ab")
            assert told.said[:2] == ["connected", "lost: open, but silent for 0.1 s"]


async def test_unplugged_and_plugged_in_again_behind_the_same_path(tmp_path: Path) -> None:
    with serial_line(tmp_path / "line") as line:
        async with running(tmp_path / "line") as (session, ear, _):
            for round_ in range(3):
                await until(line.is_open)
                await line.write(b"x")
                await until(lambda round_=round_: len(heard(ear)) == round_ + 1)  # type: ignore[misc]
                line.unplug()
                await until(lambda: session.link is LinkState.LOST)
                line.plug_in()


async def test_a_device_that_is_plugged_in_later_is_found(tmp_path: Path) -> None:
    async with running(tmp_path / "line") as (session, ear, _):
        await asyncio.sleep(0.1)
        assert session.link is LinkState.SEARCHING
        with serial_line(tmp_path / "line") as line:
            await until(line.is_open)
            await line.write(b"hello")
            await until(lambda: heard(ear) == b"hello")
