"""Asking the running agent how it is."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bedside_agent.errors import AgentError
from bedside_agent.health import REPORT, NotRunningError, answering, ask, follow


async def waiting(_question: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    yield {"waiting": 3}


@pytest.mark.parametrize("depth", [0, 6])
async def test_the_report_comes_back_however_deep_the_directory_lies(tmp_path: Path, depth: int) -> None:
    state = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * depth)
    state.mkdir(parents=True, exist_ok=True)
    async with answering(state, tmp_path / "memory", {REPORT: waiting}):
        assert await asyncio.to_thread(ask, state, tmp_path / "memory") == {"waiting": 3}
        assert await asyncio.to_thread(ask, state, tmp_path / "memory") == {"waiting": 3}
    with pytest.raises(NotRunningError):
        ask(state, tmp_path / "memory")


async def test_what_a_killed_agent_left_behind_is_no_agent_and_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "status.sock").write_bytes(b"")
    with pytest.raises(NotRunningError):
        ask(tmp_path, tmp_path / "memory")
    async with answering(tmp_path, tmp_path / "memory", {REPORT: waiting}):
        assert await asyncio.to_thread(ask, tmp_path, tmp_path / "memory") == {"waiting": 3}


def test_no_directory_is_no_agent(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        ask(tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 6), tmp_path / "memory")


async def test_an_agent_whose_directory_cannot_be_written_is_found_in_memory(tmp_path: Path) -> None:
    state, memory = tmp_path / "no" / "directory", tmp_path / "memory"
    async with answering(state, memory, {REPORT: waiting}):
        assert await asyncio.to_thread(ask, state, memory) == {"waiting": 3}
    with pytest.raises(NotRunningError):
        ask(state, memory)


async def test_answers_come_one_by_one_and_end_when_nobody_listens(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def counting(question: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        try:
            for number in range(question["first"], 1_000_000):
                yield {"number": number}
                await asyncio.sleep(0)
        finally:
            ended.set()

    def first_two() -> list[int]:
        with closing(follow(tmp_path, tmp_path / "memory", "count", {"first": 7})) as answers:
            return [next(answers)["number"], next(answers)["number"]]

    async with answering(tmp_path, tmp_path / "memory", {"count": counting}):
        assert await asyncio.to_thread(first_two) == [7, 8]
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_refusal_and_an_unknown_operation_are_said_in_words(tmp_path: Path) -> None:
    async def refusing(_question: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        yield {"begun": True}
        raise AgentError("the radio is away")

    async with answering(tmp_path, tmp_path / "memory", {"scan": refusing}):
        with pytest.raises(AgentError, match="the radio is away"):
            await asyncio.to_thread(lambda: list(follow(tmp_path, tmp_path / "memory", "scan", {})))
        with pytest.raises(AgentError, match="knows no dance"):
            await asyncio.to_thread(ask, tmp_path, tmp_path / "memory", "dance")


@pytest.mark.parametrize("question", [b"", b"\n", b"{}\n", b"[]\n", b"\xff\n", b"x" * 100_000])
async def test_whoever_asks_nonsense_is_hung_up_on_and_harms_nobody(tmp_path: Path, question: bytes) -> None:
    async with answering(tmp_path, tmp_path / "memory", {REPORT: waiting}):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "status.sock")
        writer.write(question)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert await asyncio.to_thread(ask, tmp_path, tmp_path / "memory") == {"waiting": 3}
