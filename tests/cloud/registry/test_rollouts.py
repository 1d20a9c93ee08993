"""Bundles in parts and rollouts by stages. Real broker and database; hubs are played."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
import pytest
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import releases
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.releases import (
    PART_BYTES,
    BytesAnswer,
    BytesRequest,
    PartRequest,
    Release,
    ReleaseList,
    ReleaseName,
    ReleaseRequest,
    Rollout,
    RolloutChange,
    RolloutName,
    RolloutRequest,
    RolloutSheet,
    RolloutState,
    Standing,
)
from bedside_cloud.registry import lanes
from bedside_cloud.registry.run import main
from bedside_profiles.release import Release as Named
from bedside_profiles.release import release_text
from bedside_profiles.wire.command import Command, Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.signed import SignedDocument
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, UpLane, subject

BUNDLE = bytes(range(251)) * 1000
DIGEST = hashlib.sha256(BUNDLE).hexdigest()
SIGNATURE = base64.b64encode(b"s" * 64).decode()
HUBS = tuple([f"hub-{number}" for number in range(4)])


@dataclass(slots=True)
class Fleet:
    """The tech, the gateway, and four hubs that are played."""

    operator: Bus
    gateway: Bus
    hubs: Bus
    told: dict[str, Command]
    dsn: str

    async def add(self, bundle: bytes = BUNDLE, digest: str = DIGEST) -> Release:
        text = release_text(Named("1.2.0", digest, len(bundle)))
        request = ReleaseRequest(manifest=text, signature_base64=SIGNATURE)
        known = await self.operator.request(releases.RELEASE_ADD, request, Release)
        while known.has_bytes < known.size_bytes:
            known = await self.part(bundle, known.has_bytes, digest)
        return known

    async def part(self, bundle: bytes, at: int, digest: str = DIGEST) -> Release:
        content = base64.b64encode(bundle[at : at + PART_BYTES]).decode()
        question = PartRequest(sha256=digest, at_byte=at, content_base64=content)
        return await self.operator.request(releases.RELEASE_PART, question, Release)

    async def online(self, hub_id: str, version: str = "1.1.0") -> None:
        status = Status(
            SCHEMA_VERSION, hub_id, HubState.ONLINE, "11111111-1111-4111-8111-111111111111", agent_version=version
        )
        await self.hubs.publish_bytes(subject(hub_id, UpLane.STATUS), encode(status))

    async def start(self, **changes: object) -> Rollout:
        wanted = {"version_or_sha256": "1.2.0", "stages": (25, 100), "soak_seconds": 0, **changes}
        return await self.operator.request(releases.ROLLOUT_START, RolloutRequest.model_validate(wanted), Rollout)

    async def sheet(self) -> RolloutSheet:
        return await self.operator.request(releases.ROLLOUT_SHOW, RolloutName(), RolloutSheet)

    async def move(self, state: RolloutState) -> Rollout:
        return await self.operator.request(releases.ROLLOUT_SET, RolloutChange(state=state), Rollout)

    async def until_told(self, count: int) -> set[str]:
        async with asyncio.timeout(10):
            while len(self.told) < count:
                await asyncio.sleep(0.02)
        return set(self.told)

    async def until(self, state: RolloutState) -> RolloutSheet:
        async with asyncio.timeout(10):
            while (found := await self.sheet()).rollout.state is not state:
                await asyncio.sleep(0.05)
        return found

    async def answer(self, hub_id: str, outcome: Outcome = Outcome.APPLIED, reason: str = "") -> None:
        if outcome is Outcome.APPLIED:
            await self.online(hub_id, "1.2.0")
        reply = Reply(SCHEMA_VERSION, hub_id, self.told[hub_id].command_id, outcome, reason=reason)
        await self.hubs.publish_bytes(subject(hub_id, UpLane.REPLIES), encode(reply))

    def deeds(self) -> list[tuple[str, str]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute("SELECT actor, deed FROM audit.deeds ORDER BY entry_no").fetchall()


@pytest.fixture
async def fleet(broker: TestBroker, database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    monkeypatch.setattr(lanes, "RESEND_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_service(main, settings_of("registry", broker, database)))
        operator, gateway, hubs = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", "gateway", broker.hub_player)
        ]
        told: dict[str, Command] = {}

        async def on_command(_where: str, body: bytes) -> None:
            command = decode(Command, decode(SignedDocument, body).body)
            told[command.hub_id] = command

        await hubs.subscribe(subject("*", DownLane.COMMANDS), on_command)
        await hubs.client.flush()
        one = Fleet(operator, gateway, hubs, told, database.superuser_dsn)
        for hub_id in HUBS:
            await one.online(hub_id)
        await asyncio.sleep(0.3)
        yield one


async def refused(asking: Awaitable[object]) -> str:
    with pytest.raises(RefusedError) as refusal:
        await asking
    return refusal.value.reason


async def test_a_bundle_comes_in_parts_and_goes_out_from_any_byte(fleet: Fleet) -> None:
    text = release_text(Named("1.2.0", DIGEST, len(BUNDLE)))
    request = ReleaseRequest(manifest=text, signature_base64=SIGNATURE)
    await fleet.operator.request(releases.RELEASE_ADD, request, Release)
    first = await fleet.part(BUNDLE, 0)
    assert first.has_bytes == PART_BYTES
    assert f"next byte is {PART_BYTES}" in await refused(fleet.part(BUNDLE, 0))
    half = BytesRequest(sha256=DIGEST, at_byte=0)
    assert "no such bundle" in await refused(fleet.gateway.request(releases.RELEASE_BYTES, half, BytesAnswer))
    # Given again, it goes on where it ended.
    whole = await fleet.add()
    assert whole.has_bytes == len(BUNDLE)
    for start in (0, 1, PART_BYTES - 1, PART_BYTES, 200_000, len(BUNDLE)):
        found, at = b"", start
        while True:
            question = BytesRequest(sha256=DIGEST, at_byte=at)
            answer = await fleet.gateway.request(releases.RELEASE_BYTES, question, BytesAnswer)
            part = base64.b64decode(answer.content_base64)
            if not part:
                break
            found, at = found + part, at + len(part)
        assert found == BUNDLE[start:]
        assert answer.size_bytes == len(BUNDLE)


async def test_other_bytes_than_the_signed_ones_are_not_kept(fleet: Fleet) -> None:
    assert "not the bundle" in await refused(fleet.add(BUNDLE[:-1] + b"x"))
    known = await fleet.operator.request(releases.RELEASES, Empty(), ReleaseList)
    assert [one.has_bytes for one in known.releases] == [0]
    assert (await fleet.add()).has_bytes == len(BUNDLE)


async def test_hubs_are_told_stage_by_stage_with_what_was_signed(fleet: Fleet) -> None:
    await fleet.add()
    begun = await fleet.start()
    assert (begun.hubs, begun.state) == (4, RolloutState.RUNNING)
    (first,) = await fleet.until_told(1)
    fields = {one.name: one.value for one in fleet.told[first].fields}
    assert fields == {"manifest": release_text(Named("1.2.0", DIGEST, len(BUNDLE))), "signature": SIGNATURE}
    await asyncio.sleep(0.3)
    assert set(fleet.told) == {first}, "nobody else before the first has answered"
    await fleet.answer(first)
    assert await fleet.until_told(4) == set(HUBS)
    shown = {one.hub_id: one.standing for one in (await fleet.sheet()).hubs}
    assert shown == {hub_id: Standing.WORKS if hub_id == first else Standing.GIVEN for hub_id in HUBS}
    for hub_id in set(HUBS) - {first}:
        await fleet.answer(hub_id)
    done = await fleet.until(RolloutState.DONE)
    assert {one.standing for one in done.hubs} == {Standing.TOOK}
    deeds = fleet.deeds()
    assert deeds.count(("registry", "command_update")) == 4
    assert ("operator", "rollout_started") in deeds
    assert ("registry", "rollout_done") in deeds
    assert "Every hub runs 1.2.0" in await refused(fleet.start())


async def test_a_hub_that_fails_halts_it_for_good(fleet: Fleet) -> None:
    await fleet.add()
    await fleet.start()
    (first,) = await fleet.until_told(1)
    await fleet.answer(first, Outcome.REFUSED, "it was taken back")
    halted = await fleet.until(RolloutState.HALTED)
    assert first in halted.rollout.reason
    assert [one.reason for one in halted.hubs if one.hub_id == first] == ["it was taken back"]
    await asyncio.sleep(0.3)
    assert set(fleet.told) == {first}
    assert "stays so" in await refused(fleet.move(RolloutState.RUNNING))


async def test_a_pause_tells_nobody_more_and_a_stop_withdraws(fleet: Fleet) -> None:
    await fleet.add()
    await fleet.start()
    (first,) = await fleet.until_told(1)
    await fleet.move(RolloutState.PAUSED)
    await fleet.answer(first)
    await asyncio.sleep(0.3)
    assert set(fleet.told) == {first}
    assert "Another rollout is open" in await refused(fleet.start())
    name = ReleaseName(version_or_sha256="1.2.0")
    assert "stop the rollout first" in await refused(fleet.operator.request(releases.RELEASE_REMOVE, name, Release))
    await fleet.move(RolloutState.RUNNING)
    await fleet.until_told(4)
    assert (await fleet.move(RolloutState.STOPPED)).ended_at_ms is not None
    await asyncio.sleep(0.3)
    fleet.told.clear()
    await asyncio.sleep(0.3)
    assert fleet.told == {}
    await fleet.operator.request(releases.RELEASE_REMOVE, name, Release)
    assert "no such version" in await refused(fleet.start())


@pytest.mark.parametrize("stages", [(5, 25), (100, 5), (0, 100), (50, 50, 100)])
async def test_stages_that_are_none_are_refused(fleet: Fleet, stages: tuple[int, ...]) -> None:
    assert "rising shares" in await refused(fleet.start(stages=stages))
