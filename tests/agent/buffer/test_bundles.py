"""Rows explain themselves, open only where they belong, and are never another row when damaged."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.readings import alarm, event, reading

from bedside_agent.buffer.bundles import MOST_BYTES, Bundle, pack_items, unpack
from bedside_agent.buffer.contents import Item
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.events import Gap, GapReason

STORE = "0123456789abcdef" * 2


def rows(*items: Item) -> list[Bundle]:
    return [unpack(seq, plain) for seq, plain in pack_items(STORE, items)]


@given(st.sets(st.integers(1, 3000), min_size=1, max_size=300))
def test_readings_come_back_in_rows_without_a_hole(sequences: set[int]) -> None:
    readings = [reading(seq / 10, seq=seq, device_id=f"device-{seq % 3}") for seq in sorted(sequences)]
    found = rows(*readings)
    assert [one for row in found for one in row.items] == readings
    for row in found:
        first, last = row.range
        assert len(row.items) == last - first + 1
        assert row.store_id == STORE


def test_a_row_of_readings_stays_small() -> None:
    packed = [plain for _, plain in pack_items(STORE, [reading(97.0, seq=seq) for seq in range(1, 1001)])]
    assert max(map(len, packed)) < MOST_BYTES + 150
    assert sum(map(len, packed)) / 1000 < 24, "bytes a reading"


def test_alarms_events_and_gaps_are_rows_of_their_own() -> None:
    gap = Gap(2, 900, 899, GapReason.DISK_FULL, 1_790_000_000_000, 1_790_000_060_000)
    assert [row.items for row in rows(alarm(seq=1), gap, alarm(seq=901))] == [
        (alarm(seq=1),),
        (gap,),
        (alarm(seq=901),),
    ]
    assert rows(replace(gap, first_taken_at_ms=None, last_taken_at_ms=None))[0].range == (2, 900)
    assert rows(event(seq=7))[0].items == (event(seq=7),)


@given(st.integers(0, 200), st.binary(max_size=3))
def test_damaged_rows_raise_nothing_but_their_own_error(place: int, garbage: bytes) -> None:
    ((_, plain),) = pack_items(STORE, [reading(97.0, seq=5), reading(96.0, seq=6)])
    with contextlib.suppress(MalformedError):
        unpack(5, plain[:place] + garbage)
    with pytest.raises(MalformedError):
        unpack(4, plain)
