"""Commands to hubs: signed, sent until answered or expired, told in the record of deeds. Real broker and database."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import hub_commands
from bedside_cloud.contracts.hub_commands import (
    CommandKind,
    CommandList,
    CommandsRequest,
    CommandState,
    Content,
    ContentRequest,
    Given,
    GivenCommand,
    GiveRequest,
)
from bedside_cloud.engines.certificates.authority import common_name
from bedside_cloud.engines.certificates.signing import is_signed_by
from bedside_cloud.registry import lanes
from bedside_cloud.registry.run import main
from bedside_profiles.wire.command import Command, Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.signed import DocumentKind, SignedDocument, signing_input
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, subject

HUB, OTHER = "hub-1", "hub-2"


@dataclass(slots=True)
class Office:
    """The tech's questions, and what hubs hear and say."""

    operator: Bus
    hubs: Bus
    heard: "asyncio.Queue[tuple[str, SignedDocument]]"
    dsn: str

    async def give(self, kind: CommandKind = CommandKind.RESTART, hub_id: str = HUB, seconds: int = 3600) -> Given:
        request = GiveRequest(hub_id=hub_id, kind=kind, valid_seconds=seconds)
        return await self.operator.request(hub_commands.COMMAND_GIVE, request, Given)

    async def listed(self, hub_id: str | None = None) -> tuple[GivenCommand, ...]:
        request = CommandsRequest(hub_id=hub_id)
        return (await self.operator.request(hub_commands.COMMANDS, request, CommandList)).commands

    async def where(self, state: CommandState) -> GivenCommand:
        """The newest command once it is in that state."""
        async with asyncio.timeout(10):
            while True:
                newest = (await self.listed())[0]
                if newest.state is state:
                    return newest
                await asyncio.sleep(0.02)

    async def hear(self) -> tuple[str, SignedDocument, Command]:
        where, document = await asyncio.wait_for(self.heard.get(), 10)
        return where, document, decode(Command, document.body)

    async def online(self, hub_id: str = HUB, state: HubState = HubState.ONLINE) -> None:
        status = Status(SCHEMA_VERSION, hub_id, state, "11111111-1111-4111-8111-111111111111")
        await self.hubs.publish_bytes(subject(hub_id, UpLane.STATUS), encode(status))

    async def answer(self, about: str, outcome: Outcome, *, hub_id: str = HUB, **more: Any) -> None:
        reply = Reply(SCHEMA_VERSION, hub_id, about, outcome, **more)
        await self.hubs.publish_bytes(subject(hub_id, UpLane.REPLIES), encode(reply))

    def deeds(self) -> list[tuple[str, str, str]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute("SELECT actor, deed, subject FROM audit.deeds ORDER BY entry_no").fetchall()


@pytest.fixture
async def office(broker: TestBroker, database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    monkeypatch.setattr(lanes, "RESEND_SECONDS", 0.1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_service(main, settings_of("registry", broker, database)))
        operator, hubs = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", broker.hub_player)
        ]
        heard: asyncio.Queue[tuple[str, SignedDocument]] = asyncio.Queue()

        async def on_command(where: str, body: bytes) -> None:
            heard.put_nowait((where, decode(SignedDocument, body)))

        await hubs.subscribe(subject("*", DownLane.COMMANDS), on_command)
        await hubs.client.flush()
        one = Office(operator, hubs, heard, database.superuser_dsn)
        for hub_id in (HUB, OTHER):
            await one.online(hub_id)
        await asyncio.sleep(0.2)
        yield one


async def test_a_command_reaches_its_hub_signed_until_it_is_answered(office: Office, broker: TestBroker) -> None:
    given = await office.give()
    assert given.is_new
    leaf = broker.state.certificates.leaf("registry")[0].certificate
    for _ in range(3):
        where, document, command = await office.hear()
        assert where == subject(HUB, DownLane.COMMANDS)
        assert (command.command_id, command.kind, command.hub_id) == (given.command_id, "restart", HUB)
        assert common_name(leaf) == "registry"
        assert is_signed_by(leaf, signing_input(DocumentKind.COMMAND, document.body), document.signature)
    await office.answer(given.command_id, Outcome.APPLIED)
    done = await office.where(CommandState.APPLIED)
    assert done.answered_at_ms is not None
    while not office.heard.empty():
        office.heard.get_nowait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(office.heard.get(), 0.5)


async def test_the_same_is_not_given_twice_while_it_waits(office: Office) -> None:
    first = await office.give()
    assert await office.give() == Given(command_id=first.command_id, is_new=False)
    assert (await office.give(hub_id=OTHER)).is_new
    assert (await office.give(CommandKind.PULL_LOGS)).is_new
    await office.answer(first.command_id, Outcome.APPLIED)
    await asyncio.sleep(0.3)
    assert (await office.give()).is_new


async def test_a_hub_that_is_away_is_told_when_it_comes(office: Office) -> None:
    await office.online(state=HubState.OFFLINE)
    await asyncio.sleep(0.3)
    given = await office.give()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(office.heard.get(), 0.5)
    await office.online()
    assert (await office.hear())[2].command_id == given.command_id


async def test_one_that_expired_is_sent_no_more_and_a_late_answer_still_counts(office: Office) -> None:
    given = await office.give()
    await office.hear()
    with psycopg.connect(office.dsn, autocommit=True) as connection:
        connection.execute("UPDATE registry.commands SET expires_at = now()")
    await office.where(CommandState.EXPIRED)
    await asyncio.sleep(0.3)
    while not office.heard.empty():
        office.heard.get_nowait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(office.heard.get(), 0.5)
    await office.answer(given.command_id, Outcome.APPLIED)
    await office.where(CommandState.APPLIED)


async def test_a_refusal_says_why_and_the_first_answer_stands(office: Office) -> None:
    given = await office.give()
    await office.answer(given.command_id, Outcome.REFUSED, reason="unknown_kind")
    assert (await office.where(CommandState.REFUSED)).reason == "unknown_kind"
    await office.answer(given.command_id, Outcome.APPLIED)
    await asyncio.sleep(0.3)
    assert (await office.listed())[0].state is CommandState.REFUSED


async def test_another_hub_answers_for_nobody(office: Office) -> None:
    given = await office.give()
    await office.answer(given.command_id, Outcome.APPLIED, hub_id=OTHER)
    await asyncio.sleep(0.3)
    assert (await office.listed())[0].state is CommandState.WAITING


async def test_what_a_hub_sends_back_is_kept_a_week(office: Office) -> None:
    given = await office.give(CommandKind.COLLECT_BUNDLE)
    await office.answer(given.command_id, Outcome.APPLIED, content=b"\x1f\x8barchive")
    assert (await office.where(CommandState.APPLIED)).content_bytes == 9
    request = ContentRequest(command_id=given.command_id)
    content = await office.operator.request(hub_commands.COMMAND_CONTENT, request, Content)
    assert (content.kind, base64.b64decode(content.content_base64)) == ("collect_bundle", b"\x1f\x8barchive")
    with psycopg.connect(office.dsn, autocommit=True) as connection:
        connection.execute("UPDATE registry.commands SET answered_at = now() - interval '8 days'")
    async with asyncio.timeout(10):
        while (await office.listed())[0].content_bytes:
            await asyncio.sleep(0.05)
    with pytest.raises(RefusedError, match="nothing for it"):
        await office.operator.request(hub_commands.COMMAND_CONTENT, request, Content)


async def test_who_told_which_hub_what_is_in_the_record_of_deeds(office: Office) -> None:
    given = await office.give(CommandKind.COLLECT_BUNDLE)
    await office.answer(given.command_id, Outcome.APPLIED, content=b"x")
    await office.where(CommandState.APPLIED)
    await office.operator.request(hub_commands.COMMAND_CONTENT, ContentRequest(command_id=given.command_id), Content)
    assert office.deeds() == [
        ("operator", "command_collect_bundle", HUB),
        (HUB, "command_applied", HUB),
        ("operator", "command_content_read", given.command_id),
    ]


@pytest.mark.parametrize(
    ("hub_id", "seconds", "why"),
    [
        ("hub-9", 3600, "no hub hub-9"),
        ("Hub 1", 3600, "No hub has that id"),
        (HUB, 10, "--within"),
        (HUB, 10**7, "--within"),
    ],
)
async def test_what_cannot_be_given_says_why(office: Office, hub_id: str, seconds: int, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        await office.give(hub_id=hub_id, seconds=seconds)
    assert await office.listed() == ()
    assert office.deeds() == []


@pytest.mark.parametrize("number", ["", "17", "00000000-0000-4000-8000-000000000001"])
async def test_a_content_that_is_not_there_is_said(office: Office, number: str) -> None:
    with pytest.raises(RefusedError):
        await office.operator.request(hub_commands.COMMAND_CONTENT, ContentRequest(command_id=number), Content)
