"""The tables that people read name everything there is."""

import re
from pathlib import Path

import pytest

from bedside_profiles.catalogue import ADVERTS, CATALOGUE
from bedside_sim.control import COMMANDS
from bedside_sim.devices import radio_sets, serial_sets

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_the_table(command: str) -> None:
    assert f'{{"do": "{command}"' in (ROOT / "firmware_sim" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("profile", [*CATALOGUE, *ADVERTS], ids=lambda profile: profile.name)
def test_every_profile_is_in_the_table(profile: object) -> None:
    assert f"`{profile.name}`" in (ROOT / "device_profiles" / "README.md").read_text(encoding="utf-8")  # type: ignore[attr-defined]


def test_what_is_not_played_is_named_and_everything_else_is_played() -> None:
    text = (ROOT / "device_profiles" / "README.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"Not played: ([^.]*\.[^.]*)\.", text)
    played = {*radio_sets.KINDS, *serial_sets.KINDS}
    assert set(re.findall(r"`([^`]*)`", sentence)) == {one.name for one in (*CATALOGUE, *ADVERTS)} - played
