"""SIGKILL in the middle of appends: what was acknowledged is there, and no sequence stands twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bedside_agent.buffer.contents import STORE_STEP
from bedside_agent.buffer.database import Database
from bedside_profiles.wire.events import Gap
from bedside_profiles.wire.topics import UpLane

WRITER = Path(__file__).with_name("writer_process.py")


@pytest.mark.parametrize("acknowledged", [1, 7, 60, 300])
def test_nothing_acknowledged_is_lost(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "buffer.db"
    expected: dict[tuple[str, str], int] = {}
    for _ in range(3):
        with subprocess.Popen([sys.executable, str(WRITER), str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(acknowledged):
                store_id, lane, seq = process.stdout.readline().split()
                expected[store_id, lane] = int(seq)
            process.send_signal(signal.SIGKILL)
            # Lines that were acknowledged before the signal arrived count too; the last may be cut.
            for line in process.stdout.read().splitlines()[:-1]:
                if len(words := line.split()) == 3:
                    expected[words[0], words[1]] = int(words[2])
    database = Database(path, "f" * 32)
    for kept in database.kept():
        if kept.store_id == "f" * 32:
            continue
        last = expected.get((kept.store_id, kept.lane.value), 0)
        rows = database.fetch(kept.number, kept.lane, 1, STORE_STEP - 1, 1_000_000)
        assert [row.seq for row in rows if not isinstance(row, Gap)] == list(range(1, len(rows) + 1))
        assert len(rows) >= last
    assert len({store_id for store_id, _ in expected}) == 3
    assert {lane for _, lane in expected} <= {lane.value for lane in UpLane}
    database.close()
