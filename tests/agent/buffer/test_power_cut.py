"""The power is cut after any change to the disk, as strace recorded them: everything promised is there at the start."""

import random

import pytest
from tests.bench.hub import power_cut
from tests.support.absent import absent
from tests.support.power_cut import Disk, Loss
from tests.support.recorded_disk import Change, Kind, can_record


@pytest.fixture(scope="module")
def changes() -> list[Change]:
    if not can_record():
        absent("power cuts, for want of a strace that may trace", "apt-get install strace")
    return power_cut.recording()


def test_the_recording_holds_all_that_a_hub_writes(changes: list[Change]) -> None:
    touched = {(change.kind, change.path.removesuffix(".part")) for change in changes}
    files = ("buffer.db", "buffer.db-wal", "buffer.key", "hub.toml", "key.pem", "certificate.pem")
    assert touched >= {(kind, path) for kind in (Kind.WRITE, Kind.SYNC) for path in files}
    assert touched >= {(Kind.UNLINK, "buffer.db.reserve"), (Kind.SYNC_DIRECTORY, ".")}
    assert any(change.path == "buffer.key.part" and change.data.startswith(b"sealed ") for change in changes)
    checkpoints = [change for change in changes if (change.kind, change.path) == (Kind.SYNC, "buffer.db")]
    assert len(checkpoints) > 6


def test_nothing_promised_is_lost_wherever_the_power_is_cut(changes: list[Change]) -> None:
    tried, failures = power_cut.replay(changes, 2_200)
    assert tried == 2_200
    assert failures == []


@pytest.mark.usefixtures("changes")
def test_nothing_is_lost_when_the_power_is_cut_beside_a_salvage() -> None:
    recorded = power_cut.recording("damaged")
    assert any(change.path.endswith(".damaged.1") or change.other.endswith(".damaged.1") for change in recorded)
    _, failures = power_cut.replay(recorded, 700)
    assert failures == []


def test_the_same_cuts_fail_a_hub_that_does_not_sync(changes: list[Change]) -> None:
    unsynced = [change for change in changes if (change.kind, change.path) != (Kind.SYNC, "buffer.db-wal")]
    _, failures = power_cut.replay(unsynced, 100)
    assert len(failures) > 10


def test_what_was_not_synced_may_be_lost_sector_by_sector() -> None:
    disk = Disk()
    for change in (
        Change(Kind.CREATE, "a"),
        Change(Kind.WRITE, "a", b"1" * 512),
        Change(Kind.SYNC, "a"),
        Change(Kind.SYNC_DIRECTORY, "."),
        Change(Kind.WRITE, "a", b"2" * 1024),
        Change(Kind.RENAME, "a", other="b"),
    ):
        disk.take(change)
    chance = random.Random(1)
    assert disk.after_cut(Loss.NOTHING, chance) == {"b": b"2" * 1024}
    assert disk.after_cut(Loss.EVERYTHING, chance) == {"a": b"1" * 512}
    contents = {content for _ in range(40) for content in disk.after_cut(Loss.SECTORS, chance).values()}
    assert contents == {b"1" * 512, b"2" * 512, b"1" * 512 + b"2" * 512, b"2" * 1024}
