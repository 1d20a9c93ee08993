"""Every folder under `captures/<profile>/<case>` is a test: bytes of a device, and what they mean or why not.

`case.json`: `device` (in words), `bytes` (hex; a list: one a notification), `characteristic` (Bluetooth), `times` (how
often the bytes come), `expected` with `measurements`, `withheld`, `facts` and `segments`, with a list of such as
`frames`, or with `refused` (a part of the reason).
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_profiles.catalogue import ADVERTS, CATALOGUE, SERVICES
from bedside_profiles.explain import Explained, Result, captured, explain
from bedside_profiles.profile import AdvertProfile, Decoded, Fact, NoReading, SerialProfile, Withheld
from bedside_profiles.readings import Measurement, Metric, Modality, Quality, RangeFlag
from bedside_profiles.waveforms import Segment, Signal

CAPTURES = Path(__file__).parent / "captures"
CASES = sorted(path.parent.relative_to(CAPTURES) for path in CAPTURES.glob("*/*/case.json"))


def explained(profile_name: str, case: dict[str, Any]) -> Explained:
    """By the one way in that technicians have, `bedside-agent device decode`, from the device's name on."""
    profile = next(one for one in (*CATALOGUE, *ADVERTS, *SERVICES) if one.name == profile_name)
    transport = "serial" if isinstance(profile, SerialProfile) else "ble"
    frames = case["bytes"] if isinstance(case["bytes"], list) else [case["bytes"]]
    entry = {
        "id": profile_name,
        "transport": "advert" if isinstance(profile, AdvertProfile) else transport,
        "device": case["device"],
        "service_uuid": None if isinstance(profile, SerialProfile) else profile.service_uuid,
        "characteristic_uuid": case.get("characteristic"),
        "frames": frames * case.get("times", 1),
        "address": case.get("address"),
        "bind_key_hex": case.get("bind_key"),
    }
    return explain(captured(entry, 1))


def decoded_of(expected: dict[str, Any]) -> Decoded:
    return Decoded(
        tuple(
            Measurement(
                Metric(member["metric"]),
                member["value"],
                Modality(member["modality"]),
                range_flag=RangeFlag(member["range_flag"]) if "range_flag" in member else None,
                quality=tuple(Quality(name) for name in member.get("quality", ())),
                device_time=member.get("device_time"),
                device_user=member.get("device_user"),
            )
            for member in expected["measurements"]
        ),
        tuple(Withheld(Metric(member["metric"]), NoReading(member["reason"])) for member in expected["withheld"]),
        tuple(
            Fact(name, tuple(value) if isinstance(value, list) else value)
            for name, value in expected.get("facts", {}).items()
        ),
        tuple(
            Segment(Signal(one["signal"]), one["rate_hz"], tuple(one["samples"]), one["device_time"])
            for one in expected.get("segments", ())
        ),
    )


@pytest.mark.parametrize("path", CASES, ids=str)
def test_capture_means_what_its_folder_says(path: Path) -> None:
    case = json.loads((CAPTURES / path / "case.json").read_text(encoding="utf-8"))
    expected = case["expected"]

    found = explained(path.parts[0], case)

    assert found.profile == path.parts[0]
    if "refused" in expected:
        assert found.result is Result.REJECT
        assert found.measurements == ()
        assert expected["refused"] in (found.reason or "")
        return
    decoded = [outcome for outcome in found.outcomes if isinstance(outcome, Decoded)]
    assert decoded == [decoded_of(one) for one in expected.get("frames", [expected])]


FACTS_ONLY = {"bluetooth.omron_hem"}
"""Makes no value of a cuff whose model it does not know."""


def test_every_profile_has_captures_good_and_bad() -> None:
    for profile in (*CATALOGUE, *ADVERTS):
        cases = [json.loads(path.read_text(encoding="utf-8")) for path in CAPTURES.glob(f"{profile.name}/*/case.json")]
        good = "facts" if profile.name in FACTS_ONLY else "measurements"
        expected = [one for case in cases for one in case["expected"].get("frames", [case["expected"]])]
        assert any(one.get(good) for one in expected), f"{profile.name}: no reading"
        assert any("refused" in case["expected"] for case in cases), f"{profile.name}: no refusal"
