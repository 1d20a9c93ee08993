"""Commands: followed once, answered the same for ever."""

import asyncio
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import HUB

from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.errors import UntrustedError
from bedside_agent.uplink.commands import EXPIRED, MOST, UNKNOWN, Action, CommandFailedError, Commands
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.command import Command, Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION

CA = certificates.Authority()
REGISTRY = CA.signer()


def command(number: int = 1, kind: str = "report_status", *, expires_at_ms: int = NOON_MS + 1000) -> Command:
    return Command(SCHEMA_VERSION, f"00000000-0000-4000-8000-{number:012d}", HUB, kind, expires_at_ms)


async def answered(commands: Commands, one: Command) -> Reply:
    """What is said to a command that does not take long."""
    reply = await commands.follow(REGISTRY.sign(one))
    assert reply is not None
    return reply


def counted(done: list[str], content: bytes = b"") -> Action:
    async def action() -> bytes:
        await asyncio.sleep(0)
        done.append("x")
        return content

    return action


async def test_a_command_is_followed_once_and_answered_alike_even_after_it_expired(tmp_path: Path) -> None:
    clock = ManualClock()
    done: list[str] = []
    for _ in range(2):
        store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
        commands = Commands(store, clock, Authority(HUB, CA.root.der), {"report_status": counted(done)})
        for _ in range(2):
            reply = await answered(commands, command())
            assert (reply.outcome, reply.about) == (Outcome.APPLIED, command().command_id)
            clock.advance(hours=1)
        await store.close()
    assert done == ["x"]


async def test_what_is_not_followed_says_why(tmp_path: Path) -> None:
    clock = ManualClock()
    store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
    commands = Commands(store, clock, Authority(HUB, CA.root.der), {})
    late = await answered(commands, command(1, expires_at_ms=NOON_MS))
    unknown = await answered(commands, command(2, "fly"))
    assert [(one.outcome, one.reason) for one in (late, unknown)] == [
        (Outcome.REFUSED, EXPIRED),
        (Outcome.REFUSED, UNKNOWN),
    ]
    with pytest.raises(UntrustedError):
        await commands.follow(CA.leaf("hub-0002").sign(command(3)))
    await store.close()


async def test_a_hub_without_the_time_follows_rather_than_refuses(tmp_path: Path) -> None:
    clock = ManualClock(0, ClockQuality.UNSYNCED)
    store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
    commands = Commands(store, clock, Authority(HUB, CA.root.der), {"report_status": counted([])})
    assert (await answered(commands, command())).outcome is Outcome.APPLIED
    await store.close()


async def test_the_memory_is_bounded(tmp_path: Path) -> None:
    clock = ManualClock()
    store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
    commands = Commands(store, clock, Authority(HUB, CA.root.der), {"report_status": counted([])})
    for number in range(MOST + 5):
        await answered(commands, command(number))
    assert len(commands._answers) == MOST
    await store.close()


async def test_one_that_comes_again_while_it_is_followed_is_not_followed_twice(tmp_path: Path) -> None:
    clock, done = ManualClock(), list[str]()
    told: list[tuple[str, str]] = []
    store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
    actions = {"report_status": counted(done, b"archive")}
    commands = Commands(
        store, clock, Authority(HUB, CA.root.der), actions, lambda kind, reason: told.append((kind, reason))
    )
    replies = await asyncio.gather(*[answered(commands, command()) for _ in range(5)])
    assert (done, told) == (["x"], [("report_status", "")])
    assert {(one.outcome, one.content) for one in replies} == {(Outcome.APPLIED, b"archive")}
    await store.close()


async def test_one_that_cannot_be_done_says_why_and_is_not_tried_again(tmp_path: Path) -> None:
    clock, tries = ManualClock(), list[str]()

    async def fails() -> bytes:
        tries.append("x")
        raise CommandFailedError("nobody is there")

    store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
    commands = Commands(store, clock, Authority(HUB, CA.root.der), {"report_status": fails})
    for _ in range(2):
        reply = await answered(commands, command())
        assert (reply.outcome, reply.reason) == (Outcome.REFUSED, "nobody is there")
    assert tries == ["x"]
    await store.close()


async def test_one_that_takes_long_is_answered_once_it_is_done(tmp_path: Path) -> None:
    clock = ManualClock()
    store = await Store.open(tmp_path / "buffer.db", clock, commit_window_ms=1)
    asked: list[tuple[str, bool]] = []
    said: list[str | None] = [None, None, "it does not fit"]
    told: list[tuple[str, str]] = []

    def work(one: Command, is_late: bool) -> str | None:
        asked.append((one.command_id, is_late))
        return said.pop(0)

    def followed(kind: str, reason: str) -> None:
        told.append((kind, reason))

    commands = Commands(store, clock, Authority(HUB, CA.root.der), {}, followed, {"update": work})
    document = REGISTRY.sign(command(7, "update"))
    assert await commands.follow(document) is None
    assert told == []
    clock.advance(hours=1)
    assert await commands.follow(document) is None
    for _ in range(2):
        reply = await commands.follow(document)
        assert reply is not None
        assert (reply.outcome, reply.reason) == (Outcome.REFUSED, "it does not fit")
    number = command(7).command_id
    assert asked == [(number, False), (number, True), (number, True)]
    assert told == [("update", "it does not fit")]
    await store.close()
