"""What is looked up before anything is spoken to."""

from pathlib import Path

import pytest
from rich.console import Console
from tests.support.usb_tree import UsbTree

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.device_search import plugged_in, plugged_table

NONIN = "serial.nonin_df2"


@pytest.fixture
def tree(tmp_path: Path) -> UsbTree:
    return UsbTree(tmp_path)


def test_serial_adapters_are_listed_with_what_device_add_needs(tree: UsbTree) -> None:
    tree.plug_in("ttyUSB0", "1-1.1", serial_number="A1")
    tree.plug_in("ttyUSB1", "1-1.2", kind="1a86:7523")
    entries = [DeviceEntry("oximeter", NONIN, usb_id="0403:6001:A1"), DeviceEntry("gone", NONIN, usb_id="0403:6001:B2")]
    found = plugged_in(entries, sysfs=tree.sysfs)
    assert found == [
        {"usb_id": "0403:6001:A1", "terminal": "/dev/ttyUSB0", "profiles": [], "device_id": "oximeter"},
        {"usb_id": "1a86:7523@1-1.2", "terminal": "/dev/ttyUSB1", "profiles": [], "device_id": None},
    ]
    DeviceEntry("new", NONIN, usb_id=found[1]["usb_id"]).place()
    console = Console(record=True, width=60)
    console.print(plugged_table(found))
    said = console.export_text()
    assert "1a86:7523@1-1.2" in said
    assert "device add" in said


def test_a_device_at_a_path_is_known_by_it(tree: UsbTree) -> None:
    tree.plug_in("ttyUSB0", "1-1.1")
    (found,) = plugged_in([DeviceEntry("cuff", NONIN, port="/dev/ttyUSB0")], sysfs=tree.sysfs)
    assert found["device_id"] == "cuff"


def test_nothing_is_plugged_in(tree: UsbTree) -> None:
    assert plugged_in([], sysfs=tree.sysfs) == []
