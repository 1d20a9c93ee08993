"""Asking the running agent how it is."""

import asyncio
from pathlib import Path

import pytest

from bedside_agent.health import NotRunningError, answering, ask


@pytest.mark.parametrize("depth", [0, 6])
async def test_the_report_comes_back_however_deep_the_directory_lies(tmp_path: Path, depth: int) -> None:
    state = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * depth)
    state.mkdir(parents=True, exist_ok=True)
    async with answering(state, tmp_path / "memory", lambda: {"waiting": 3}):
        assert await asyncio.to_thread(ask, state, tmp_path / "memory") == {"waiting": 3}
        assert await asyncio.to_thread(ask, state, tmp_path / "memory") == {"waiting": 3}
    with pytest.raises(NotRunningError):
        ask(state, tmp_path / "memory")


async def test_what_a_killed_agent_left_behind_is_no_agent_and_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "status.sock").write_bytes(b"")
    with pytest.raises(NotRunningError):
        ask(tmp_path, tmp_path / "memory")
    async with answering(tmp_path, tmp_path / "memory", dict):
        assert await asyncio.to_thread(ask, tmp_path, tmp_path / "memory") == {}


def test_no_directory_is_no_agent(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        ask(tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 6), tmp_path / "memory")


async def test_an_agent_whose_directory_cannot_be_written_is_found_in_memory(tmp_path: Path) -> None:
    state, memory = tmp_path / "no" / "directory", tmp_path / "memory"
    async with answering(state, memory, lambda: {"waiting": 3}):
        assert await asyncio.to_thread(ask, state, memory) == {"waiting": 3}
    with pytest.raises(NotRunningError):
        ask(state, memory)
