"""A scale that keeps readings for several people tells those of the one whose consent the hub gives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.collecting_hub import collecting_hub, kept
from tests.support.virtual_radio import CUFF, until

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import NoticeKind
from bedside_profiles.bluetooth import body_composition, user_control
from bedside_profiles.readings import Metric
from bedside_sim.devices.drifting_clock import DriftingClock
from bedside_sim.devices.scale import BodyCompositionScale
from bedside_sim.journal import Journal
from bedside_sim.radio import Air

USERS = {1: 1111, 2: 2222}
VALUES = {Metric.BODY_FAT: 22.5, Metric.BODY_WEIGHT: 71.5}


def entry(user: str | None, code: str | None) -> DeviceEntry:
    return DeviceEntry("scale", body_composition.NAME, address=CUFF, user_index=user, consent_code=code)


@asynccontextmanager
async def scale_in(air: Air, tmp_path: Path, clock: DriftingClock | None = None) -> AsyncIterator[BodyCompositionScale]:
    journal = Journal(tmp_path / "journal")
    scale = BodyCompositionScale(air, journal, device_id="scale", address=CUFF, users=USERS, clock=clock)
    await scale.start()
    try:
        yield scale
    finally:
        await scale.stop()
        journal.close()


async def test_the_readings_of_the_user_in_the_settings_come_and_a_stub_is_no_reading(tmp_path: Path) -> None:
    air, store = Air(), tmp_path / "buffer.db"
    async with (
        scale_in(air, tmp_path, DriftingClock(-78.0)) as scale,
        collecting_hub(store, air, entry("2", "2222")) as hub,
    ):
        await until(lambda: scale.consents == [user_control.encode_consent(2, 2222)])
        async with asyncio.timeout(5):
            while await scale.emit(VALUES, spot=True) is None:
                await asyncio.sleep(0.01)
        await until(lambda: hub.station.statuses()[0].last_reading_ms is not None)
        # The clock is set beside the consent, and may be told after the first reading.
        await until(lambda: bool(hub.told(NoticeKind.DEVICE_CLOCK)))
        (told,) = hub.told(NoticeKind.DEVICE_CLOCK)
        assert told["set"] == "yes"
        assert told["offset_seconds"] in {"-77", "-78", "-79"}
        assert hub.told(NoticeKind.DEVICE_TROUBLE) == []
    readings = await kept(store)
    assert {one.metric: one.value for one in readings} == VALUES
    assert {one.device_user for one in readings} == {2}


@pytest.mark.parametrize("code", ["2223", "1111"])
async def test_a_wrong_code_is_trouble_and_nothing_is_told(tmp_path: Path, code: str) -> None:
    air = Air()
    async with (
        scale_in(air, tmp_path) as scale,
        collecting_hub(tmp_path / "buffer.db", air, entry("2", code)) as hub,
    ):
        await until(lambda: bool(hub.told(NoticeKind.DEVICE_TROUBLE)))
        assert hub.told(NoticeKind.DEVICE_TROUBLE) == [
            {"reason": "the scale refuses the consent of user 2: user_not_authorised"}
        ]
        assert await scale.emit(VALUES, spot=True) is None


@pytest.mark.parametrize(
    ("user", "code", "problems"),
    [
        ("2", "2222", 0),
        (None, None, 0),
        ("2", None, 1),
        (None, "1", 1),
        ("255", "1", 1),
        ("1", "10000", 1),
        ("x", "-1", 2),
    ],
)
def test_user_and_code_belong_together_and_are_numbers(user: str | None, code: str | None, problems: int) -> None:
    assert len(entry(user, code).problems()) == problems
