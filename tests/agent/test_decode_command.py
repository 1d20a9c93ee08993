"""`bedside-agent device decode`: what a technician sends is explained, whatever it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bedside_agent.cli import app

CAPTURES = Path(__file__).parents[1] / "device_profiles/captures"

CUFF = {
    "id": "cuff",
    "transport": "ble",
    "device": "A&D UA-651BLE",
    "service_uuid": "00001810-0000-1000-8000-00805F9B34FB",
    "characteristic_uuid": "00002A35-0000-1000-8000-00805F9B34FB",
    "payload_hex": "146500410051003e000400",
    "expected": {"is": "ignored"},
}
BATTERY = {**CUFF, "id": "battery", "characteristic_uuid": "00002a19-0000-1000-8000-00805f9b34fb", "payload_hex": "0f"}
ERROR = {**CUFF, "id": "error", "payload_hex": "16ff07ff07ff07e80706170e2f3bff070000"}


def typed(*arguments: str, text: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["device", "decode", *arguments], input=text)
    return done.exit_code, done.output


def decoded(*entries: object) -> list[dict[str, Any]]:
    code, out = typed("-", text=json.dumps(entries))
    assert code == 0, out
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_values_come_in_canonical_units_with_flags(tmp_path: Path) -> None:
    file = tmp_path / "frames.json"
    file.write_text(json.dumps([CUFF]))
    code, out = typed(str(file))
    assert code == 0
    flags = ["irregular_pulse"]
    assert json.loads(out) == [
        {
            "id": "cuff",
            "profile": "bluetooth.blood_pressure",
            "result": "ok",
            "reason": None,
            "readings": [
                {"metric": metric, "value": value, "unit": unit, "taken_at": None, "flags": flags}
                for metric, value, unit in (
                    ("systolic_pressure", 101.0, "mm[Hg]"),
                    ("diastolic_pressure", 65.0, "mm[Hg]"),
                    ("mean_pressure", 81.0, "mm[Hg]"),
                    ("pulse_rate", 62.0, "/min"),
                )
            ],
            "facts": {},
        }
    ]


def test_what_is_no_reading_says_why() -> None:
    battery, error, cut = decoded(BATTERY, ERROR, {**CUFF, "payload_hex": "1465"})
    assert (battery["result"], battery["readings"], battery["facts"]) == ("ok", [], {"battery_percent": 15})
    assert (error["result"], error["readings"]) == ("no_reading", [])
    assert "systolic_pressure: not_a_number" in error["reason"]
    assert (cut["result"], cut["readings"]) == ("reject", [])
    assert "cut off" in cut["reason"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"transport": "pigeon"}, "transport"),
        ({"payload_hex": None}, "payload_hex"),
        ({"payload_hex": "xyz"}, "hexadecimal"),
        ({"frames": [1, 2]}, "payload_hex"),
        ({"characteristic_uuid": "0000feed-0000-1000-8000-00805f9b34fb"}, "no profile knows"),
        ({"service_uuid": 7, "characteristic_uuid": {"a": 1}}, "no profile knows"),
        ({"transport": "serial", "device": "a toaster"}, "no profile knows"),
    ],
)
def test_an_entry_that_cannot_be_read_is_rejected_and_costs_no_other(change: dict[str, Any], reason: str) -> None:
    bad, good = decoded({**CUFF, **change}, BATTERY)
    assert (bad["result"], bad["readings"]) == ("reject", [])
    assert reason in bad["reason"]
    assert good["result"] == "ok"


def test_entries_that_are_no_objects_are_rejected_by_their_place() -> None:
    assert [one["id"] for one in decoded(1, None, [], "x")] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(("text", "sentence"), [("{", "no JSON"), ("{}", "no JSON list"), ('"x"', "no JSON list")])
def test_a_file_that_is_no_list_is_refused_with_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "frames.json"
    file.write_text(text)
    done = CliRunner().invoke(app, ["device", "decode", str(file)])
    assert done.exit_code != 0
    assert sentence in str(done.exception)


def test_the_words_fit_a_terminal_of_80_columns() -> None:
    code, out = typed("--words", "-", text=json.dumps([CUFF, BATTERY, ERROR]))
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "systolic_pressure 101 mm[Hg]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("service", "characteristic"),
    [("1810", "2A35"), ("0x1810", "0x2a35"), ("00001810", "00002A35"), (None, "00002A3500001000800000805F9B34FB")],
)
def test_uuids_may_be_written_as_people_write_them(service: str | None, characteristic: str) -> None:
    (found,) = decoded({**CUFF, "service_uuid": service, "characteristic_uuid": characteristic})
    assert (found["profile"], found["result"]) == ("bluetooth.blood_pressure", "ok")


CONTEC_LIVE = "01e085b096c1e1ffff"


@pytest.mark.parametrize(
    ("device", "payload", "settings", "profile"),
    [
        ("OneTouch Ultra", "021002050624a00d555100000003225e", None, "serial.onetouch_ultraeasy"),
        ("Contec CMS60C", CONTEC_LIVE, None, "serial.contec_cms50"),
        ("Contec CMS60C", "8000204861" * 60, None, "serial.contec_cms50_5_byte"),
        ("Contec CMS60C", "00", {"baud": 115200}, "serial.contec_cms50"),
        ("Contec CMS60C", "00", None, None),
        ("Contec CMS60C", "00", {"baud": "fast"}, None),
        ("Nonin format 13", "00", None, "serial.nonin_9560"),
        ("IEEE 11073 glucose meter", "00", None, None),
    ],
)
def test_of_several_devices_of_a_name_the_one_is_meant_to_which_the_bytes_mean_something(
    device: str, payload: str, settings: dict[str, Any] | None, profile: str | None
) -> None:
    (found,) = decoded({"transport": "serial", "device": device, "payload_hex": payload, "settings": settings})
    assert found["profile"] == profile
    assert profile is not None or "name its model" in found["reason"]


def test_what_several_devices_say_alike_needs_no_more_words() -> None:
    (found,) = decoded({"transport": "ble", "device": "RACP", "characteristic_uuid": "2A52", "payload_hex": "05000300"})
    assert (found["result"], found["facts"]["record_count"]) == ("ok", 3)


def test_without_any_uuid_the_name_is_enough() -> None:
    oximeter = json.loads((CAPTURES / "bluetooth.contec_cms50d_bt/two_frames_in_a_value/case.json").read_text())[
        "bytes"
    ]
    (found,) = decoded({"transport": "ble", "device": "EMAY SleepO2", "payload_hex": oximeter})
    assert found["profile"] == "bluetooth.contec_cms50d_bt"


def test_a_key_may_stand_among_the_settings() -> None:
    sealed = json.loads((CAPTURES / "advert.mibeacon_scale/weight_rate_impedance/case.json").read_text())
    plain = {"transport": "advert", "device": sealed["device"], "payload_hex": sealed["bytes"]}
    key = {"mac": sealed["address"].lower(), "bindkey": sealed["bind_key"]}
    without, within = decoded(plain, {**plain, "settings": key})
    assert (without["result"], within["result"]) == ("reject", "ok")
