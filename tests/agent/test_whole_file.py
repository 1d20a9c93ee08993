"""A file that is replaced: whole, by whom the folder belongs to, or not at all."""

import os
from pathlib import Path

import pytest
from tests.support.readings import HUB
from tests.support.small_disk import fill_up, small_disk

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import FILE, add_device, first_text, load
from bedside_agent.whole_file import write_whole

OXIMETER = DeviceEntry("oximeter-1", "bluetooth.pulse_oximeter", address="C0:11:22:33:44:55")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path, 1) as disk:
        file = disk / "hub.toml"
        write_whole(file, b"before")
        fill_up(disk)
        with pytest.raises(OSError, match="No space left"):
            write_whole(file, b"after" * 10_000)
        assert file.read_bytes() == b"before"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_a_device_that_root_adds_leaves_the_settings_the_hubs_own(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 12345, 12346)
    write_whole(state / FILE, first_text(HUB, "localhost", 8883, "bluez").encode(), mode=0o600)
    add_device(state, OXIMETER)
    found = (state / FILE).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12346, 0o600)
    assert load(state).device == (OXIMETER,)
