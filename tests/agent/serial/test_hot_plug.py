"""Adapters that are unplugged and come back under another name: found by what they are, within five seconds."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.support.sessions import Recorder, Told, now_without_wall_time
from tests.support.usb_tree import Stick, UsbTree
from tests.support.virtual_radio import until

from bedside_agent.serial.lines import open_line
from bedside_agent.serial.place import Absent, Place, Plugged, at_path
from bedside_agent.serial.session import SerialSession
from bedside_agent.serial.usb import adapters, at_usb_id
from bedside_profiles.serial.nonin_df2 import PROFILE
from bedside_profiles.wire.status import LinkState

REPLUG_SECONDS = 5.0


@pytest.fixture
def tree(tmp_path: Path) -> UsbTree:
    return UsbTree(tmp_path / "machine")


@contextmanager
def plugged_in(*sticks: Stick) -> Iterator[None]:
    try:
        yield
    finally:
        for stick in sticks:
            stick.line.unplug()


def by_usb_id(tree: UsbTree, text: str) -> Place:
    return at_usb_id(text, sysfs=tree.sysfs, device_nodes=tree.dev)


@asynccontextmanager
async def reading(place: Place) -> AsyncIterator[tuple[SerialSession, Recorder, Told]]:
    ear, told = Recorder(), Told()
    session = SerialSession(place, PROFILE, open_line, ear, told, moment=now_without_wall_time, jitter=random.Random(1))
    task = asyncio.create_task(session.run())
    try:
        yield session, ear, told
    finally:
        task.cancel()
        await asyncio.wait({task})


def heard(ear: Recorder) -> bytes:
    return b"".join(payload for payload, _ in ear.heard)


async def say(stick: Stick, data: bytes) -> None:
    await until(stick.line.is_open)
    assert await stick.line.write(data)


@pytest.mark.parametrize("found_by", ["by-id", "usb_id with a serial number", "usb_id of the only one of its kind"])
async def test_a_replug_under_another_name_is_read_again_within_five_seconds(tree: UsbTree, found_by: str) -> None:
    stick = tree.plug_in("ttyUSB0", "1-1.2", serial_number="A50285BI")
    places = {
        "by-id": at_path(str(tree.dev / "serial" / "by-id" / "usb-Adapter_A50285BI-if00-port0")),
        "usb_id with a serial number": by_usb_id(tree, "0403:6001:A50285BI"),
        "usb_id of the only one of its kind": by_usb_id(tree, "0403:6001"),
    }
    loop = asyncio.get_running_loop()
    async with reading(places[found_by]) as (session, ear, told):
        await say(stick, b"a")
        await until(lambda: heard(ear) == b"a")
        for name, letter in (("ttyUSB1", b"b"), ("ttyUSB7", b"c")):
            stick.unplug()
            await until(lambda: session.link is LinkState.LOST)
            began = loop.time()
            stick = tree.plug_in(name, "1-1.4", serial_number="A50285BI")
            await say(stick, letter)
            await until(lambda letter=letter: heard(ear).endswith(letter))  # type: ignore[misc]
            assert loop.time() - began < REPLUG_SECONDS
        assert heard(ear) == b"abc"
        assert [one.split(":")[0] for one in told.said] == ["connected", "lost"] * 2 + ["connected"]
        stick.unplug()


async def test_two_adapters_of_a_kind_are_told_apart_by_serial_number(tree: UsbTree) -> None:
    left = tree.plug_in("ttyUSB0", "1-1.1", serial_number="LEFT")
    right = tree.plug_in("ttyUSB1", "1-1.2", serial_number="RIGHT")
    async with (
        reading(by_usb_id(tree, "0403:6001:LEFT")) as (_, left_ear, _),
        reading(by_usb_id(tree, "0403:6001:RIGHT")) as (_, right_ear, _),
    ):
        await say(left, b"l")
        await say(right, b"r")
        await until(lambda: (heard(left_ear), heard(right_ear)) == (b"l", b"r"))
        left.unplug()
        right.unplug()
        # The other one comes back first, and gets the name that the first one had.
        right = tree.plug_in("ttyUSB0", "1-1.2", serial_number="RIGHT")
        left = tree.plug_in("ttyUSB1", "1-1.1", serial_number="LEFT")
        with plugged_in(left, right):
            await say(left, b"L")
            await say(right, b"R")
            await until(lambda: (heard(left_ear), heard(right_ear)) == (b"lL", b"rR"))


async def test_adapters_without_a_serial_number_are_told_apart_by_their_sockets(tree: UsbTree) -> None:
    left = tree.plug_in("ttyACM0", "1-1.1", kind="1a86:7523")
    right = tree.plug_in("ttyUSB0", "1-1.2", kind="1a86:7523")
    right_path = tree.dev / "serial" / "by-path" / "platform-usb-1-1.2:1.0-port0"
    async with (
        reading(by_usb_id(tree, "1A86:7523@1-1.1")) as (_, left_ear, _),
        reading(at_path(str(right_path))) as (_, right_ear, _),
    ):
        await say(left, b"l")
        await say(right, b"r")
        await until(lambda: (heard(left_ear), heard(right_ear)) == (b"l", b"r"))
        left.unplug()
        right.unplug()
        right = tree.plug_in("ttyUSB5", "1-1.2", kind="1a86:7523")
        left = tree.plug_in("ttyUSB0", "1-1.1", kind="1a86:7523")
        with plugged_in(left, right):
            await say(left, b"L")
            await say(right, b"R")
            await until(lambda: (heard(left_ear), heard(right_ear)) == (b"lL", b"rR"))


async def test_of_two_that_may_be_meant_none_is_read_and_a_person_is_asked_once(tree: UsbTree) -> None:
    first = tree.plug_in("ttyUSB0", "1-1.1", kind="1a86:7523")
    second = tree.plug_in("ttyUSB1", "1-1.2", kind="1a86:7523")
    with plugged_in(first, second):
        async with reading(by_usb_id(tree, "1a86:7523")) as (_, ear, told):
            await until(lambda: bool(told.said))
            await asyncio.sleep(1.1)
            assert not first.line.is_open()
            assert not second.line.is_open()
            (said,) = told.said
            assert said.startswith("trouble: 1a86:7523 may be any of 1a86:7523@1-1.1 (ttyUSB0), 1a86:7523@1-1.2")
            second.unplug()
            await say(first, b"x")
            await until(lambda: heard(ear) == b"x")


def test_what_is_plugged_in_is_listed(tree: UsbTree) -> None:
    left = tree.plug_in("ttyACM0", "1-1.1", kind="1A86:7523")
    right = tree.plug_in("ttyUSB0", "2-3", serial_number="A50285BI")
    with plugged_in(left, right):
        assert [str(one) for one in adapters(tree.sysfs)] == ["1a86:7523@1-1.1", "0403:6001:A50285BI"]


def test_without_sysfs_nothing_is_plugged_in(tmp_path: Path) -> None:
    assert isinstance(at_usb_id("0403:6001", sysfs=tmp_path, device_nodes=tmp_path)(), Absent)


def test_an_adapter_whose_node_is_not_there_yet_is_absent(tree: UsbTree) -> None:
    stick = tree.plug_in("ttyUSB0", "1-1", serial_number="A50285BI")
    place = by_usb_id(tree, "0403:6001:A50285BI")
    assert isinstance(place(), Plugged)
    stick.line.unplug()
    assert isinstance(place(), Absent)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0403",
        "0403:6001:",
        "0403:60011",
        "0403:6001@",
        "zzzz:6001",
        "0403:6001:a@b",
        '0403:6001:a"b',
        "0403:6001:a\\b",
    ],
)
def test_what_is_no_usb_id_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no usb_id"):
        at_usb_id(text)
