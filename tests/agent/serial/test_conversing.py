"""A serial session carries out what its profile's conversation says, over a real pseudo-terminal."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import looptime
from tests.support.ptys import serial_line
from tests.support.sessions import Recorder, Told, now_without_wall_time
from tests.support.virtual_radio import until

from bedside_agent.serial.lines import open_line
from bedside_agent.serial.place import Absent, at_path
from bedside_agent.serial.port import Port
from bedside_agent.serial.session import SerialSession
from bedside_profiles.asking import Ask, Now, Script, Scripted, pause
from bedside_profiles.conversation import Finish, Trouble, Write
from bedside_profiles.profile import LineSettings, SerialProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial import nonin_df2, nonin_df8
from bedside_profiles.serial.nonin_df2 import PROFILE
from bedside_profiles.wire.status import LinkState
from bedside_sim.pty import SerialLine


def bytewise(data: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in data]


def speaking(write: Callable[[Now], Script]) -> SerialProfile:
    """Each byte is a frame."""
    return replace(PROFILE, silence_seconds=None, converse=lambda: Scripted(bytewise, write))


@asynccontextmanager
async def running(path: Path, profile: SerialProfile) -> AsyncIterator[tuple[SerialSession, Recorder, Told]]:
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


class Device:
    """The other end of the line: what it was told."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._heard = b""

    @property
    def heard(self) -> bytes:
        self._heard += self._line.heard()
        return self._heard


def heard(ear: Recorder) -> bytes:
    return b"".join(payload for payload, _ in ear.heard)


def is_yes(frame: bytes) -> bool:
    return frame == b"!"


async def test_an_answer_leads_to_the_next_question_and_the_end_closes_the_line(tmp_path: Path) -> None:
    def script(_now: Now) -> Script:
        assert (yield Ask(b"1", is_yes, 30)) == b"!"
        assert (yield Ask(b"2", is_yes, 30)) == b"!"
        yield Finish(3600)

    with serial_line(tmp_path / "line") as line:
        device = Device(line)
        async with running(tmp_path / "line", speaking(script)) as (session, ear, told):
            await until(lambda: device.heard == b"1")
            await line.write(b"noise!")
            await until(lambda: device.heard == b"12")
            await line.write(b"!")
            await until(lambda: not line.is_open())
            assert b"".join(payload for payload, _ in ear.heard) == b"noise!!"
            assert (ear.beginnings, ear.ends, told.said) == (1, 1, ["connected", "done"])
            assert session.link is LinkState.SEARCHING


async def test_what_is_not_answered_is_asked_again_and_then_given_up(tmp_path: Path) -> None:
    def script(_now: Now) -> Script:
        if (yield Ask(b"?", is_yes, 0.05, tries=3, again=b"#")) is None:
            yield Trouble("does not answer")
        yield Finish(0.05)

    with serial_line(tmp_path / "line") as line:
        device = Device(line)
        async with running(tmp_path / "line", speaking(script)) as (_, _, told):
            await until(lambda: device.heard[:6] == b"?##?##")
            await until(lambda: len(device.heard) >= 12)
            assert told.said == ["trouble: does not answer"]
            await until(line.is_open)
            await line.write(b"!")
            await until(lambda: "done" in told.said)
            asked = len(device.heard)
            await until(lambda: len(device.heard) >= asked + 6)
        assert told.said == ["trouble: does not answer", "connected", "done", "trouble: does not answer"]


async def test_it_is_woken_while_bytes_come_all_the_time(tmp_path: Path) -> None:
    def script(_now: Now) -> Script:
        while True:
            yield pause(0.1)
            yield Write(b"alive")

    with serial_line(tmp_path / "line") as line:
        device = Device(line)
        async with running(tmp_path / "line", speaking(script)):
            await until(line.is_open)
            async with asyncio.timeout(10):
                while device.heard.count(b"alive") < 3:
                    await line.write(b"x")
                    await asyncio.sleep(0.001)


async def test_an_answer_that_lets_the_device_forget_waits_for_the_disk(tmp_path: Path) -> None:
    def script(_now: Now) -> Script:
        while True:
            yield Ask(b"", is_yes, None)
            yield Write(b"got it", after_stored=True)

    with serial_line(tmp_path / "line") as line:
        device = Device(line)
        async with running(tmp_path / "line", speaking(script)) as (_, ear, _):
            await until(line.is_open)
            await line.write(b"!")
            await until(lambda: bool(ear.heard))
            await asyncio.sleep(0.1)
            assert device.heard == b""
            ear.on_disk.set()
            await until(lambda: device.heard == b"got it")


async def test_a_device_that_is_plugged_in_again_does_not_wait_for_the_end_of_the_pause(tmp_path: Path) -> None:
    def script(_now: Now) -> Script:
        yield Ask(b"?", is_yes, 30)
        yield Finish(3600)

    with serial_line(tmp_path / "line") as line:
        async with running(tmp_path / "line", speaking(script)) as (_, ear, _):
            for round_ in range(1, 3):
                await until(line.is_open)
                await line.write(b"!")
                await until(lambda round_=round_: ear.ends == round_)  # type: ignore[misc]
                line.unplug()
                line.plug_in()


async def test_another_device_on_the_line_is_said_once_and_what_it_would_be(tmp_path: Path) -> None:
    pair = [
        Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS),
        Measurement(Metric.PULSE_RATE, 60.0, Modality.CONTINUOUS),
    ]
    other = nonin_df8.encode(pair)
    with serial_line(tmp_path / "line") as line:
        async with running(tmp_path / "line", PROFILE) as (_, ear, told):
            for round_ in range(1, 3):
                await until(line.is_open)
                assert await line.write(other * 900)
                await until(lambda round_=round_: len(heard(ear)) == round_ * 900 * len(other))  # type: ignore[misc]
                ends = ear.ends
                line.unplug()
                line.plug_in()
                await until(lambda ends=ends: ear.ends > ends)  # type: ignore[misc]
            await until(line.is_open)
            await line.write(nonin_df2.encode(pair))
            await until(lambda: told.said[-1:] == ["connected"] and heard(ear).endswith(nonin_df2.encode(pair)))
            line.unplug()
            line.plug_in()
            await until(line.is_open)
            assert await line.write(other * 900)
            await until(lambda: told.said[-1].startswith("trouble"))
        troubles = [one for one in told.said if one.startswith("trouble")]
        assert len(troubles) == 2
        assert troubles[0].endswith("or another device is on it; it would fit serial.nonin_df8")


async def test_who_is_asked_in_vain_and_says_something_else_is_another_device(tmp_path: Path) -> None:
    def script(_now: Now) -> Script:
        if (yield Ask(b"?", is_yes, 0.2, tries=1)) is None:
            yield Trouble("does not answer")
        yield Finish(3600)

    with serial_line(tmp_path / "line") as line:
        async with running(tmp_path / "line", speaking(script)) as (_, _, told):
            await until(line.is_open)
            await line.write(b"\x1b[2Jlogin: ")
            await until(lambda: len(told.said) == 2)
        assert told.said[1].startswith("trouble: nothing that it says makes sense as serial.nonin_df2 at 9600 baud 8N1")


def test_a_device_that_is_not_there_costs_no_attempt() -> None:
    opened, looks = 0, 0

    def open_port(_path: str, _settings: LineSettings) -> Port:
        nonlocal opened
        opened += 1
        raise AssertionError

    def nowhere() -> Absent:
        nonlocal looks
        looks += 1
        return Absent("somewhere", "nothing is plugged in")

    async def an_hour() -> None:
        told = Told()
        session = SerialSession(
            nowhere, PROFILE, open_port, Recorder(), told, moment=now_without_wall_time, jitter=random.Random(1)
        )
        task = asyncio.create_task(session.run())
        await asyncio.sleep(3600)
        task.cancel()
        assert (opened, told.said) == (0, [])
        assert session.last_error is not None
        assert (session.last_error.path, session.last_error.reason) == ("somewhere", "nothing is plugged in")
        assert looks <= 7201

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(an_hour())
