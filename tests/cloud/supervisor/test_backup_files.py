"""Backup files that are not whole, or not ours."""

from pathlib import Path

import pytest

from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.archive import read_archive, write_archive
from bedside_cloud.operator_tools.backups import backup, restore


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    (state / "certificates").mkdir(parents=True)
    for name in ("cloud.json", "secrets.json", "certificates/ca.pem"):
        (state / name).write_text(name)
    dump = tmp_path / "dump"
    dump.write_bytes(b"rows" * 10_000)
    file = tmp_path / "some.bedside"
    write_archive(file, dump, state, "2026-03-01T12:00:00+00:00", "1", "ab" * 32)
    return file


def test_a_whole_one_is_read_back(archive: Path, tmp_path: Path) -> None:
    manifest = read_archive(archive, tmp_path / "into")
    assert manifest.ca_sha256 == "ab" * 32
    assert (tmp_path / "into" / "state" / "certificates" / "ca.pem").read_text() == "certificates/ca.pem"


@pytest.mark.parametrize("keep", [0, 1, 600, 5_000, 30_000])
def test_a_cut_one_is_refused(archive: Path, tmp_path: Path, keep: int) -> None:
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(OperatorError):
        read_archive(archive, tmp_path / "into")


def test_a_flipped_byte_in_the_dump_is_noticed(archive: Path, tmp_path: Path) -> None:
    body = bytearray(archive.read_bytes())
    body[body.index(b"rowsrows") + 100] ^= 1
    archive.write_bytes(bytes(body))
    with pytest.raises(OperatorError, match="damaged"):
        read_archive(archive, tmp_path / "into")


def test_a_refused_restore_leaves_no_cloud_behind(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(b"nothing")
    with pytest.raises(OperatorError):
        restore(tmp_path / "new", archive)
    assert not (tmp_path / "new" / "cloud.json").exists()


def test_a_backup_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="There is no cloud"):
        backup(tmp_path / "nowhere", tmp_path / "file")
