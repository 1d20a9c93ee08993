"""A sensor off the body: two minutes by default; at once, and of high priority, while an alarm of it is active."""

from pathlib import Path

import pytest
from tests.support.alarm_timeline import VARIANTS, Bench, Case, Do, Reboot, Restart, Say, Step, Until, play
from tests.support.readings import OXIMETER, plan

from bedside_profiles.readings import Quality

OFF = (Quality.NO_CONTACT,)
RAISED, CLEARED = "sensor_off raised medium", "sensor_off cleared"
HIGH, LOW, OVER = "sensor_off raised high", "spo2_low raised high", "spo2_low cleared"


def off(at: float) -> Step:
    """A frame without any reading, because the sensor is off."""

    def say(bench: Bench) -> object:
        return bench.keeper.sensor_off(OXIMETER, bench.clock.now())

    return Do(at, say)


def flagged(since: float, until: float) -> list[Step]:
    return [Say(at, 60, quality=OFF) for at in range(round(since), round(until), 10)]


def empty(since: float, until: float) -> list[Step]:
    return [off(at) for at in range(round(since), round(until), 10)]


EVERYWHERE = (
    Case("fires, by a flag", [Say(0, 97), *flagged(10, 140)], [(130, RAISED)]),
    Case("fires, by frames without a reading", [Say(0, 97), *empty(10, 140)], [(130, RAISED)]),
    Case("boundary, ten seconds short", [Say(0, 97), *empty(10, 130), Say(129, 97)]),
    Case("a word of contact begins anew", [*empty(0, 100), Say(100, 97), *empty(110, 220)]),
    Case("gap: off, then silent, is silence", [Say(0, 97), off(10), Until(650)], [(610, "no_data raised medium")]),
    Case("off is not silent", [Say(0, 97), *empty(10, 900)], [(130, RAISED)]),
    Case("blocks new alarms", [Say(0, 97), *flagged(10, 100), Say(100, 97)]),
    Case("resolves", [*empty(0, 140), Say(140, 97)], [(120, RAISED), (140, CLEARED)]),
    Case(
        "neither clears nor silences an active alarm",
        [Say(0, 70), Say(10, 97, quality=OFF), *empty(20, 60), Say(60, 97)],
        [(0, LOW), (10, HIGH), (60, OVER), (60, CLEARED)],
    ),
    Case(
        "an alarm that comes after it makes it urgent",
        [*empty(0, 130), Say(130, 70), off(140)],
        [(120, RAISED), (130, LOW), (130, CLEARED), (140, HIGH)],
    ),
)

BOOTS = (
    Case("restart in the middle", [*empty(0, 60), Restart(60), *empty(70, 130)], [(120, RAISED)]),
    Case("reboot of known length", [*empty(0, 60), Reboot(60, 5), *empty(70, 130)], [(120, RAISED)]),
    Case("reboot of unknown length is long", [*empty(0, 60), Reboot(60, 5, synced=False), off(70)], [(70, RAISED)]),
    Case(
        "active over a reboot",
        [*empty(0, 130), Reboot(130, 5), off(140), Say(150, 97)],
        [(120, RAISED), (150, CLEARED)],
    ),
)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", EVERYWHERE, ids=str)
async def test_sensor_off(tmp_path: Path, case: Case, variant: str) -> None:
    assert (await play(tmp_path, case, variant=variant))[0] == list(case.heard)


@pytest.mark.parametrize("case", BOOTS, ids=str)
async def test_sensor_off_over_boots(tmp_path: Path, case: Case) -> None:
    assert (await play(tmp_path, case, plan()))[0] == list(case.heard)
