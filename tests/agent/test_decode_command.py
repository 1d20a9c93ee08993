"""`bedside-agent device decode`: what a technician sends is explained, whatever it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bedside_agent.cli import app

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
