"""`hub.toml`: every problem at once, each setting documented."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from bedside_agent import settings
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.errors import SettingsError
from bedside_agent.settings import Settings, add_device, first_text, load, parse

GOOD = first_text("hub-0001", "broker.example", 8883, "bluez")
OXIMETER = DeviceEntry("oximeter-1", "bluetooth.pulse_oximeter", address="C0:11:22:33:44:55")


def test_what_init_writes_is_read() -> None:
    assert parse(GOOD) == Settings("hub-0001", "broker.example", 8883)


def test_all_problems_are_named_at_once() -> None:
    text = """
        hub_id = "Hub 1"
        broker_port = 0
        radio = "magic"
        commit_window_ms = 0.5
        colour = "red"
        [[device]]
        device_id = "a b"
        profile = "none.such"
        [[device]]
        profile = 3
        size = "large"
    """
    with pytest.raises(SettingsError) as raised:
        parse(text)
    said = "\n".join(raised.value.problems)
    for part in (
        "hub_id",
        "broker_host is missing",
        "broker_port is not within 1 to 65535",
        "radio 'magic'",
        "commit_window_ms is not a whole number",
        "colour is no setting",
        "no profile 'none.such'",
        "device_id",
        "[[device]] 2: size",
        "[[device]] 2: device_id is missing",
        "[[device]] 2: profile is not a text",
    ):
        assert part in said


@pytest.mark.parametrize("text", ["", "hub_id = ", "device = 3\n" + GOOD, "\0"])
def test_what_is_no_settings_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse(text)


def test_devices_are_added_once(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(GOOD)
    assert add_device(tmp_path, OXIMETER)
    assert not add_device(tmp_path, OXIMETER)
    assert load(tmp_path).device == (OXIMETER,)


def test_a_serial_device_is_added_by_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(GOOD)
    entry = DeviceEntry("oximeter-2", "serial.nonin_df2", usb_id="0403:6001:A50285BI")
    assert add_device(tmp_path, entry)
    assert load(tmp_path).device == (entry,)


def test_a_device_that_cannot_be_read_leaves_the_settings_alone(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(GOOD)
    add_device(tmp_path, OXIMETER)
    before = (tmp_path / "hub.toml").read_text()
    for entry in (
        DeviceEntry("oximeter-1", "bluetooth.pulse_oximeter", address="C0:11:22:33:44:66"),
        DeviceEntry("oximeter-2", "none.such"),
        DeviceEntry('x"\ny', "bluetooth.pulse_oximeter", address="C0:11:22:33:44:55"),
    ):
        with pytest.raises(SettingsError):
            add_device(tmp_path, entry)
    assert (tmp_path / "hub.toml").read_text() == before


def test_missing_settings_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path)
    assert "init" in raised.value.fix


def test_every_setting_says_what_it_is_for() -> None:
    (declared,) = [node for node in ast.parse(inspect.getsource(settings)).body if isinstance(node, ast.ClassDef)]
    documented = {
        before.target.id
        for before, after in zip(declared.body, declared.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    assert documented == {one.name for one in fields(Settings)}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"bluez:hci1"', ("bluez:hci1",)),
        ('["bluez:hci0", "bumble:usb:0"]', ("bluez:hci0", "bumble:usb:0")),
    ],
)
def test_one_radio_or_several(written: str, read: tuple[str, ...]) -> None:
    assert parse(GOOD.replace('radio = "bluez"', f"radio = {written}")).radio == read


@pytest.mark.parametrize("written", ["[]", "3", "[3]", '["bluez", "bluez:hci0"]', '["bluez:hci0", "bluez:hci0"]', '""'])
def test_radios_that_do_not_go_together(written: str) -> None:
    with pytest.raises(SettingsError, match="radio"):
        parse(GOOD.replace('radio = "bluez"', f"radio = {written}"))
