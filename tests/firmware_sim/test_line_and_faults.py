import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ptys import serial_line

from bedside_agent.serial.lines import open_line
from bedside_profiles.serial.nonin_df2 import LINE
from bedside_sim.faults import Flapping, pieces
from bedside_sim.journal import Journal, Stamp, read_journal


async def test_a_line_knows_whether_somebody_listens(tmp_path: Path) -> None:
    with serial_line(tmp_path / "line") as line:
        assert not line.is_open()
        assert not await line.write(b"to nobody")
        port = open_line(str(tmp_path / "line"), LINE)
        assert line.is_open()
        assert await line.write(b"to somebody")
        assert await port.read() == b"to somebody"
        await port.close()
        assert not line.is_open()


async def test_a_reader_that_takes_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bedside_sim.pty._FULL_WAITS", 3)
    with serial_line(tmp_path / "line") as line:
        port = open_line(str(tmp_path / "line"), LINE)
        assert not await line.write(bytes(100_000))
        await port.close()


async def test_the_path_leads_to_the_new_line(tmp_path: Path) -> None:
    with serial_line(tmp_path / "line") as line:
        line.unplug()
        assert not (tmp_path / "line").exists()
        line.plug_in()
        port = open_line(str(tmp_path / "line"), LINE)
        assert line.is_open()
        await port.close()


@given(st.binary(max_size=200), st.integers(0, 1000), st.integers(1, 9))
def test_pieces_are_the_whole(data: bytes, seed: int, longest: int) -> None:
    found = list(pieces(data, random.Random(seed), longest))
    assert b"".join(found) == data
    assert all(1 <= len(piece) <= longest for piece in found)


def test_a_flapping_link() -> None:
    link = Flapping(up_seconds=2, down_seconds=3)
    assert [link.is_up(second) for second in range(6)] == [True, True, False, False, False, True]


def test_a_journal_is_appended_to_and_forgives_a_line_cut_short(tmp_path: Path) -> None:
    from bedside_profiles.readings import Measurement, Metric, Modality, RangeFlag

    path = tmp_path / "journal"
    for value in (97.0, 96.0):
        journal = Journal(path)
        journal.record("dev", [Measurement(Metric.SPO2, value, Modality.SPOT)], Stamp(1, 2))
        journal.close()
    journal = Journal(path)
    above = Measurement(Metric.GLUCOSE, None, Modality.SPOT, range_flag=RangeFlag.ABOVE)
    journal.record("dev", [above], Stamp(3, 4))
    journal.close()
    with path.open("a") as file:
        file.write('{"device_id": "de')
    entries = list(read_journal(path))
    assert [(entry.metric, entry.value, entry.range_flag) for entry in entries] == [
        ("spo2", 97.0, None),
        ("spo2", 96.0, None),
        ("glucose", None, "above"),
    ]
    assert (entries[0].utc_ms, entries[0].monotonic_ns) == (1, 2)
