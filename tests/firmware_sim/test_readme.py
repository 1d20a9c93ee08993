"""The tables that people read name everything there is."""

from pathlib import Path

import pytest

from bedside_profiles.catalogue import CATALOGUE
from bedside_sim.control import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_the_table(command: str) -> None:
    assert f'{{"do": "{command}"' in (ROOT / "firmware_sim" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("profile", CATALOGUE, ids=lambda profile: profile.name)
def test_every_profile_is_in_the_table(profile: object) -> None:
    assert f"`{profile.name}`" in (ROOT / "device_profiles" / "README.md").read_text(encoding="utf-8")  # type: ignore[attr-defined]
