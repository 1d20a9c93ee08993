"""No data from a device that measures continuously: ten minutes by default, or what the plan says."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Case, Follow, Reboot, Restart, Say, Until, play, steady
from tests.support.readings import OXIMETER, plan

from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.technical import TechnicalKind, TechnicalRule
from bedside_profiles.wire.careplan import TECHNICAL, PlannedDevice

STRAP = "strap-1"
DEVICES = (PlannedDevice(OXIMETER, 0), PlannedDevice(STRAP, 0))
DEFAULT = plan(devices=DEVICES)
OWN = plan(
    devices=DEVICES,
    needs=(TECHNICAL,),
    technical=(
        TechnicalRule("silent", 1, TechnicalKind.NO_DATA, Priority.LOW, 300_000),
        TechnicalRule("oximeter-silent", 1, TechnicalKind.NO_DATA, Priority.MEDIUM, 60_000, OXIMETER),
        TechnicalRule("no-spo2", 1, TechnicalKind.NO_DATA, Priority.MEDIUM, 30_000, OXIMETER, Metric.SPO2),
    ),
)
RAISED, CLEARED = "no_data raised medium", "no_data cleared"

BY_DEFAULT = (
    Case("fires", [Say(0, 97), Until(700)], [(600, RAISED)]),
    Case("speaks", [*steady(97, 0, 1000, 100), Until(1400)]),
    Case("boundary, the last second", [Say(0, 97), Say(599, 97), Until(1190)]),
    Case("gap, once however long", [Say(0, 97), Until(3000)], [(600, RAISED)]),
    Case("resolves", [Say(0, 97), Say(700, 97)], [(600, RAISED), (700, CLEARED)]),
    Case("never heard, never missed by default", [Until(3000)]),
    Case("spot checks never fall silent", [Say(0, 97, spot=True), Until(3000)]),
    Case(
        "during an alarm it is of high priority, and hides nothing",
        [Say(0, 70), Until(650), Say(660, 95)],
        [(0, "spo2_low raised high"), (600, "no_data raised high"), (660, "spo2_low cleared"), (660, CLEARED)],
    ),
    Case(
        "each device by itself",
        [Say(0, 97), Say(100, 70, Metric.HEART_RATE, STRAP), Say(650, 97), Until(750)],
        [(600, RAISED), (650, CLEARED), (700, RAISED)],
    ),
    Case(
        "a device taken from the plan owes nothing", [Say(0, 97), Follow(300, plan(version=2, devices=())), Until(900)]
    ),
)

BY_PLAN = (
    Case(
        "the rule that names the device, and the metric",
        [Say(0, 97), Until(70)],
        [(30, "no_data.spo2 raised medium"), (60, RAISED)],
    ),
    Case(
        "a metric can be missing from a device that speaks",
        [*(Say(at, 70, Metric.PULSE_RATE) for at in range(0, 50, 10)), Say(50, 97)],
        [(31, "no_data.spo2 raised medium"), (50, "no_data.spo2 cleared")],
    ),
    Case(
        "named and never heard",
        [Until(90), Say(95, 97)],
        [(31, "no_data.spo2 raised medium"), (61, RAISED), (95, "no_data.spo2 cleared"), (95, CLEARED)],
    ),
    Case("the others wait longer", [*steady(97, 0, 400, 20), Say(399, 70, Metric.HEART_RATE, STRAP)]),
)

BOOTS = (
    Case("the silence goes on over restarts", [Say(0, 97), Restart(250), Restart(500), Until(700)], [(600, RAISED)]),
    Case("a radio needs time to come back", [Say(0, 97), Reboot(1, 3600), Until(4300)], [(4201, RAISED)]),
    Case(
        "of the time that the hub ran at least half counts, of the other none",
        [Say(0, 97), Reboot(300, 9000, synced=False), Until(9700)],
        [(9660, RAISED)],
    ),
    Case(
        "active over a reboot", [Say(0, 97), Reboot(700, 10), Until(800), Say(801, 97)], [(600, RAISED), (801, CLEARED)]
    ),
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", BY_DEFAULT, ids=str)
async def test_silence(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, DEFAULT, variant))[0] == list(case.heard)


@pytest.mark.parametrize("variant", ["right", "1970", "a_year_ahead", "a_year_behind"])
@pytest.mark.parametrize("case", BY_PLAN, ids=str)
async def test_silence_by_the_plan(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, OWN, variant))[0] == list(case.heard)


@pytest.mark.parametrize("case", BOOTS, ids=str)
async def test_silence_over_boots(tmp_path: Path, case: Case) -> None:
    assert (await play(tmp_path, case, DEFAULT))[0] == list(case.heard)
