"""Which stored records the hub has kept already: by time, number, user and values, over restarts, within bounds."""

from dataclasses import replace

import pytest
from tests.support.readings import measurement

from bedside_agent.seen import MOST_RECORDS, Seen
from bedside_profiles.readings import Measurement, Metric, Modality, Quality, RangeFlag

RECORD = (
    measurement(Metric.SYSTOLIC_PRESSURE, 121.0, modality=Modality.SPOT, device_time="2026-03-02T07:00:00"),
    measurement(Metric.DIASTOLIC_PRESSURE, 79.0, modality=Modality.SPOT, device_time="2026-03-02T07:00:00"),
)


class Kept:
    """A store's named values."""

    def __init__(self) -> None:
        self.state: dict[str, bytes] = {}
        self.seen = Seen(self.state)

    def take(self, *members: Measurement, device_id: str = "cuff") -> bool:
        """Whether it is new."""
        values = self.seen.kept(device_id, members)
        if values is not None:
            self._put(values)
        return values is not None

    def remember(self, position: str) -> None:
        self._put(self.seen.remembered("cuff", position))

    def restart(self) -> None:
        self.seen = Seen(self.state)

    def _put(self, values: dict[str, bytes | None]) -> None:
        self.state.update({name: value for name, value in values.items() if value is not None})


def every(**changes: object) -> tuple[Measurement, ...]:
    return tuple(replace(one, **changes) for one in RECORD)  # type: ignore[arg-type]


def test_a_record_that_comes_again_is_known_also_after_a_restart_and_in_another_order() -> None:
    kept = Kept()
    assert kept.take(*RECORD)
    assert not kept.take(*RECORD)
    kept.restart()
    assert not kept.take(*reversed(RECORD))


@pytest.mark.parametrize(
    "other",
    [
        every(device_time="2026-03-02T07:00:01"),
        every(device_user=2),
        (RECORD[0], replace(RECORD[1], value=80.0)),
        (RECORD[0],),
        (RECORD[0], replace(RECORD[1], value=None, range_flag=RangeFlag.ABOVE)),
    ],
)
def test_another_time_user_value_or_member_is_another_record(other: tuple[Measurement, ...]) -> None:
    kept = Kept()
    assert kept.take(*RECORD)
    assert kept.take(*other)


def test_another_devices_record_is_another() -> None:
    kept = Kept()
    assert kept.take(*RECORD)
    assert kept.take(*RECORD, device_id="cuff-2")


def test_what_the_device_says_against_a_value_makes_no_other_record() -> None:
    kept = Kept()
    assert kept.take(*RECORD)
    assert not kept.take(*every(quality=(Quality.LOW_BATTERY,)))


@pytest.mark.parametrize(
    "live",
    [
        every(device_time=None),
        every(device_time="2017-01-01T00:00:00", quality=(Quality.DEVICE_CLOCK_UNSET,)),
        every(modality=Modality.CONTINUOUS),
    ],
)
def test_what_cannot_be_told_from_a_new_reading_is_always_new(live: tuple[Measurement, ...]) -> None:
    kept = Kept()
    assert kept.take(*live)
    assert kept.take(*live)
    assert kept.state == {}


def test_without_a_time_the_number_counts_until_the_next_position() -> None:
    kept = Kept()
    numbered = every(device_time=None, record=7)
    assert kept.take(*numbered)
    kept.restart()
    assert not kept.take(*numbered)
    assert kept.take(*every(device_time=None, record=8))
    kept.remember("8:aa")
    # The device counts anew: seven is another record now.
    assert kept.take(*numbered)


def test_a_position_is_there_after_a_restart() -> None:
    kept = Kept()
    assert kept.seen.position("cuff") is None
    kept.remember("8:aa")
    kept.restart()
    assert kept.seen.position("cuff") == "8:aa"
    assert kept.seen.position("cuff-2") is None


def test_the_newest_records_are_known_and_memory_is_bounded() -> None:
    kept = Kept()
    times = [f"{1000 + place // 1000}-01-01T00:{place % 1000:04d}" for place in range(MOST_RECORDS + 200)]
    for place, time in enumerate(times):
        assert kept.take(*every(device_time=time))
        if place % 1001 == 0:
            kept.restart()
    kept.restart()
    assert not any(kept.take(*every(device_time=time)) for time in times[-(MOST_RECORDS - 64) :])
    assert kept.take(*every(device_time=times[0]))
    assert sum(len(value) for value in kept.state.values()) < 10 * MOST_RECORDS
    assert len(kept.state) == MOST_RECORDS // 64


@pytest.mark.parametrize("damage", [b"", b"\x00" * 7, b"\x00" * 12])
def test_a_damaged_page_costs_its_own_records_alone(damage: bytes) -> None:
    kept = Kept()
    for place in range(100):
        kept.take(*every(device_time=str(place)))
    kept.state["seen.cuff.0"] = damage
    kept.restart()
    assert not kept.take(*every(device_time="99"))
    assert kept.take(*every(device_time="0"))
    assert kept.take(*every(device_time="new"))
