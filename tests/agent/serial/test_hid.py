"""A Contour meter over USB HID: its reports, its node, its name, and its whole memory."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.hid_bridge import BridgedPort
from tests.support.serial_station import serial_room
from tests.support.usb_tree import UsbTree
from tests.support.virtual_radio import until

from bedside_agent.collect.notices import NoticeKind
from bedside_agent.device_search import plugged_in
from bedside_agent.serial.hid_reports import MARK, REPORT_BYTES, HidReportError, content_of, reports_of
from bedside_agent.serial.hidraw_port import HidrawPort
from bedside_agent.serial.lines import open_line
from bedside_agent.serial.place import Absent
from bedside_agent.serial.port import PortError
from bedside_agent.serial.usb import adapters, at_usb_id
from bedside_profiles.serial import bayer_contour

CONTOUR = "1a79:6002"


@given(st.binary(max_size=400))
def test_every_stream_survives_its_reports(data: bytes) -> None:
    reports = list(reports_of(data))
    assert {len(report) for report in reports} <= {REPORT_BYTES}
    assert b"".join(content_of(report) for report in reports) == data


@given(st.binary(max_size=80))
def test_any_bytes_are_a_part_of_a_stream_or_refused(report: bytes) -> None:
    try:
        content = content_of(report)
    except HidReportError:
        return
    assert report.startswith(MARK)
    assert report[4 : 4 + len(content)] == content
    assert len(content) == report[3]


@pytest.mark.parametrize("report", [b"", b"ABC", b"ABD\x01x", b"ABC\x3d" + b"x" * 60, b"ABC\x05abcd"])
def test_what_is_no_report_is_refused(report: bytes) -> None:
    with pytest.raises(HidReportError):
        content_of(report)


def node() -> tuple[HidrawPort, socket.socket]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setblocking(False)
    return HidrawPort("/dev/hidraw0", lambda _path: near.detach()), far


async def test_a_report_is_a_read_and_an_empty_one_is_passed_over() -> None:
    port, far = node()
    for report in (*reports_of(b"x" * 70), MARK.ljust(REPORT_BYTES, b"\0"), *reports_of(b"last")):
        far.send(report)
    assert [await port.read() for _ in range(3)] == [b"x" * 60, b"x" * 10, b"last"]
    await port.write(b"\x06")
    assert far.recv(200) == b"\0" + next(reports_of(b"\x06"))
    await port.close()
    far.close()


async def test_a_node_of_another_device_is_named_as_what_it_is() -> None:
    port, far = node()
    far.send(b"\x01keyboard")
    with pytest.raises(PortError, match="is no Contour meter"):
        await port.read()
    await port.close()
    far.close()


async def test_a_meter_that_is_unplugged_breaks_the_line_both_ways() -> None:
    port, far = node()
    far.close()
    with pytest.raises(PortError, match="other end is gone"):
        await port.read()
    with pytest.raises(PortError, match="while writing"):
        await port.write(b"\x06")
    await port.close()


async def test_a_node_that_does_not_open_says_why(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="does not open"):
        open_line(str(tmp_path / "hidraw3"), bayer_contour.LINE)


async def test_what_stands_at_a_path_decides_how_it_is_spoken_to(tmp_path: Path) -> None:
    """By the node's own name, also behind a stable link to it."""
    os.mkfifo(tmp_path / "hidraw3")
    (tmp_path / "meter").symlink_to(tmp_path / "hidraw3")
    port = open_line(str(tmp_path / "meter"), bayer_contour.LINE)
    assert isinstance(port, HidrawPort)
    await port.close()


def test_meters_are_listed_by_what_they_say_of_themselves(tmp_path: Path) -> None:
    tree = UsbTree(tmp_path)
    tree.plug_in("ttyUSB0", "1-1.1", serial_number="A50285BI")
    tree.plug_in_hid("hidraw0", "1-1.2", kind="046d:c31c", serial_number="keyboard")
    tree.plug_in_hid("hidraw1", "1-1.3", kind=CONTOUR, serial_number="7390H2471234")
    tree.plug_in_hid("hidraw2", "1-1.4", kind="1a79:7410")
    tree.plug_in_hid("hidraw3", "1-1.5", kind="1a79:0001", serial_number="another thing of this maker's")
    assert [(one.name, str(one)) for one in adapters(tree.sysfs)] == [
        ("ttyUSB0", "0403:6001:A50285BI"),
        ("hidraw1", "1a79:6002:7390H2471234"),
        ("hidraw2", "1a79:7410@1-1.4"),
    ]
    assert [(one["usb_id"], one["profiles"]) for one in plugged_in((), sysfs=tree.sysfs)][1:] == [
        ("1a79:6002:7390H2471234", [bayer_contour.NAME]),
        ("1a79:7410@1-1.4", [bayer_contour.NAME]),
    ]


def test_a_meter_is_found_under_whatever_node_it_got(tmp_path: Path) -> None:
    tree = UsbTree(tmp_path)
    look = at_usb_id(f"{CONTOUR}:7390H2471234", sysfs=tree.sysfs, device_nodes=tree.dev)
    assert isinstance(look(), Absent)
    path = tree.plug_in_hid("hidraw5", "1-1.3", kind=CONTOUR, serial_number="7390H2471234")
    os.mkfifo(path)
    found = look()
    assert not isinstance(found, Absent)
    assert found.path == str(path)


async def test_the_whole_memory_of_a_meter_comes_over_reports(tmp_path: Path) -> None:
    async with serial_room(
        tmp_path, bayer_contour.NAME, memory=12, open_port=lambda path, _settings: BridgedPort(path)
    ) as room:
        await until(lambda: len(room.told()) >= 12, 20)
        await room.all_kept()
        assert room.device.side.harm == 0
        assert room.said(NoticeKind.DEVICE_TROUBLE) == []
        room.device.vanish()
        await room.measure()
        room.device.reappear()
        await until(lambda: len(room.told()) >= 13, 20)
        await room.all_kept()
