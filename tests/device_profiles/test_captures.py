"""Every folder under `captures/<profile>/<case>` is a test: bytes of a device, and what they mean or why not.

`case.json`: `bytes` (hex), `characteristic` (Bluetooth), `times` (serial: how often the bytes come), `expected` with
`measurements` and `withheld`, or with `refused` (a part of the reason), or with `nothing_yet`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_profiles.catalogue import CATALOGUE, profile_named
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import BleProfile, Decoded, NoReading, Withheld
from bedside_profiles.readings import Measurement, Metric, Modality, Quality, RangeFlag

CAPTURES = Path(__file__).parent / "captures"
CASES = sorted(path.parent.relative_to(CAPTURES) for path in CAPTURES.glob("*/*/case.json"))


def outcomes_of(profile_name: str, case: dict[str, Any]) -> tuple[Decoded | DecodeError, ...]:
    profile = profile_named(profile_name)
    assert profile is not None
    payload = bytes.fromhex(case["bytes"])
    if not isinstance(profile, BleProfile):
        return profile.framer().feed(payload * case.get("times", 1))
    try:
        return (profile.decode(case["characteristic"], payload),)
    except DecodeError as error:
        return (error,)


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
    )


@pytest.mark.parametrize("path", CASES, ids=str)
def test_capture_means_what_its_folder_says(path: Path) -> None:
    case = json.loads((CAPTURES / path / "case.json").read_text(encoding="utf-8"))
    expected = case["expected"]

    outcomes = outcomes_of(path.parts[0], case)

    if expected.get("nothing_yet"):
        assert outcomes == ()
        return
    (outcome,) = outcomes
    if "refused" in expected:
        assert isinstance(outcome, DecodeError)
        assert expected["refused"] in outcome.reason
    else:
        assert outcome == decoded_of(expected)


def test_every_profile_has_captures_good_and_bad() -> None:
    for profile in CATALOGUE:
        cases = [json.loads(path.read_text(encoding="utf-8")) for path in CAPTURES.glob(f"{profile.name}/*/case.json")]
        assert any(case["expected"].get("measurements") for case in cases), f"{profile.name}: no reading"
        assert any("refused" in case["expected"] for case in cases), f"{profile.name}: no refusal"
