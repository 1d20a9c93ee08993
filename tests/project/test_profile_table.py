"""The table of devices and the five steps in `device_profiles/README.md` say what is there."""

import json
import re
from pathlib import Path

import pytest

from bedside_profiles.catalogue import ADVERTS, CATALOGUE, SERVICES

ROOT = Path(__file__).parents[2]
README = (ROOT / "device_profiles/README.md").read_text(encoding="utf-8")
PROFILES = ROOT / "device_profiles/bedside_profiles"
CAPTURES = ROOT / "tests/device_profiles/captures"


def rows(columns: int) -> list[list[str]]:
    """The rows of all tables so wide, whose first cell names profiles."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line[:1] == "|"]
    return [row for row in cells if len(row) == columns and re.match(r"`(bluetooth|advert|serial)\.", row[0])]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


TABLE = {name: row for row in rows(5) for name in named(row[0])}


def test_the_table_names_every_profile_and_no_other() -> None:
    assert set(TABLE) == {one.name for one in (*CATALOGUE, *ADVERTS)}
    assert {name for row in rows(3) for name in named(row[0])} == {one.name for one in SERVICES}


@pytest.mark.parametrize("row", [*rows(5), *rows(3)], ids=lambda row: row[0])
def test_the_files_of_a_row_are_there(row: list[str]) -> None:
    files = named(row[1])
    assert files
    for file in files:
        assert any((folder / file).exists() for folder in (PROFILES, (PROFILES / files[0]).parent)), file


@pytest.mark.parametrize("name", sorted(TABLE))
def test_captured_means_captured(name: str) -> None:
    """What a real device said is said to be that, and nothing else is."""
    origins = {json.loads(path.read_text(encoding="utf-8"))["origin"] for path in CAPTURES.glob(f"{name}/*/case.json")}
    tested = TABLE[name][4]
    assert ("capture" in origins) == ("capture" in tested), f"{tested}: {sorted(origins)}"


def test_there_are_five_steps_and_their_files_exist() -> None:
    steps = README[README.index("## Add a device") : README.index("**Checklist**")]
    assert re.findall(r"^(\d)\. ", steps, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    checklist = README[README.index("**Checklist**") :]
    for path in re.findall(r"`((?:tests|firmware_sim|device_profiles)/[\w/]+\.py)`", steps + checklist):
        assert (ROOT / path).exists(), path
