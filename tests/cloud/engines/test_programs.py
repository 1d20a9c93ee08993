"""PostgreSQL's programs can be started although the environment lies where only root may enter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bedside_cloud.engines.launch import unprivileged_user, wrapped
from bedside_cloud.engines.programs import everybody_may_enter, program

PROGRAM = "from bedside_cloud.engines.programs import program; print(program('postgres'))"


def test_a_private_folder_on_the_way_is_seen(tmp_path: Path) -> None:
    assert everybody_may_enter(Path("/usr/bin"))
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "inside").mkdir(mode=0o755)
    assert not everybody_may_enter(private / "inside")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user; everybody else starts what they installed")
def test_it_starts_from_an_environment_below_a_private_folder(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    package = Path(program("postgres")).parents[2]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, private / folder.name, symlinks=True)
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(private)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert not found.startswith(str(private))
    user = unprivileged_user()
    assert user is not None
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, user.uid, user.gid)
    initdb = [str(Path(found).with_name("initdb")), "--no-sync", "-D", str(data)]
    subprocess.run(wrapped(initdb, death_signal="TERM", user=user), capture_output=True, check=True, cwd="/")
    assert (data / "PG_VERSION").exists()
