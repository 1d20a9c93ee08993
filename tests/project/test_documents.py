"""What the documents say is there, is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_hazard_names_tests_that_exist_or_is_open() -> None:
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", (ROOT / "docs/hazards.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    for number, row in rows:
        measure, proof = [cell.strip() for cell in row.split("|")][-2:]
        named = re.findall(r"`(tests/[^`]+)`", proof)
        assert bool(named) != ("**open**" in measure), f"hazard {number} is either proved or open"
        for path in named:
            assert (ROOT / path).exists(), f"hazard {number}: {path}"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.match(r"[A-Za-z0-9_-]+", one)[0] for one in wanted}  # type: ignore[index]
    reasons = (ROOT / "docs/decisions.md").read_text().lower()
    unexplained = {name for name in names if name.lower() not in reasons and not name.startswith("types-")}
    assert unexplained == set()


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize(("name", "least"), [("requirements.lock", 50), ("systemd/agent.lock", 20)])
def test_a_lock_file_has_hashes_and_no_addresses(name: str, least: int) -> None:
    lock = (ROOT / name).read_text()
    assert "://" not in lock
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*==", lock, re.MULTILINE)
    entries = locked(name)
    assert len(pinned) == len(entries) > least
    assert all("--hash=sha256:" in entry for entry in entries)


def test_a_hub_gets_the_very_packages_that_were_tested() -> None:
    tested = {entry.split()[0]: re.findall("sha256:[0-9a-f]+", entry) for entry in locked("requirements.lock")}
    for entry in locked("systemd/agent.lock"):
        assert tested[entry.split()[0]] == re.findall("sha256:[0-9a-f]+", entry)


def locked(name: str) -> list[str]:
    """The entries of a lock file, one a package."""
    return re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]


def test_ci_runs_exactly_the_two_targets() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make")]
    assert lines == ["make check test"]
