"""Rollouts: hubs are brought to a version stage by stage, and no further when too many of them fail."""

import base64
import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from bedside_cloud.bus.actor import present_actor
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import releases
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.releases import (
    Rollout,
    RolloutChange,
    RolloutHub,
    RolloutList,
    RolloutName,
    RolloutRequest,
    RolloutSheet,
    RolloutState,
    Standing,
)
from bedside_cloud.database.pool import Connection, Database, fetch_all
from bedside_cloud.database.times import to_ms
from bedside_cloud.registry import store
from bedside_cloud.registry.commands import Commands
from bedside_cloud.registry.plans import SQL
from bedside_cloud.registry.releases import named_release
from bedside_cloud.registry.stages import Course, Finish, Give, Halt, Member, NextStage, next_step, stage_of, standing
from bedside_cloud.registry.store import OFFLINE_AFTER_SECONDS
from bedside_profiles.wire.command import Command
from bedside_profiles.wire.events import EventField
from bedside_profiles.wire.kinds import SCHEMA_VERSION

LOG = logging.getLogger(__name__)

UPDATE = "update"
"""The command's kind; its fields are the signed text and the signature (base64)."""

BY_ITSELF = "registry"
"""In the record of deeds: nobody told it to."""


class Rollouts:
    """`clock` is the wall clock."""

    def __init__(self, database: Database, commands: Commands, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._commands = commands
        self._clock = clock

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of rollouts."""
        return (
            Endpoint(releases.ROLLOUT_START, RolloutRequest, self.start),
            Endpoint(releases.ROLLOUTS, Empty, self.listed),
            Endpoint(releases.ROLLOUT_SHOW, RolloutName, self.show),
            Endpoint(releases.ROLLOUT_SET, RolloutChange, self.change),
        )

    async def start(self, request: RolloutRequest) -> Rollout:
        shares = request.stages
        if shares[-1] != 100 or shares[0] < 1 or list(shares) != sorted(set(shares)):
            raise RefusedError(400, "Stages are rising shares in percent, the last one 100: 5,25,100.")
        rollout_id = str(uuid.uuid4())
        async with self._database.transaction() as connection:
            release = await named_release(connection, request.version_or_sha256)
            if release.has_bytes != release.size_bytes:
                raise RefusedError(409, "Its bundle is not there whole: run `fleet version add` again.")
            await connection.execute(SQL["lock_release"], {"sha256": release.sha256})
            if await fetch_all(connection, SQL["open_rollout"], {}):
                raise RefusedError(409, "Another rollout is open: stop it, or wait for its end.")
            parameters = {
                **request.model_dump(exclude={"version_or_sha256", "stages"}),
                "rollout_id": rollout_id,
                "sha256": release.sha256,
                "version": release.version,
                "stages": list(shares),
                "now": self._clock(),
            }
            hub_ids = [row[0] for row in await fetch_all(connection, SQL["hubs_to_update"], parameters)]
            if not hub_ids:
                raise RefusedError(409, f"Every hub runs {release.version} already, or has never been online.")
            await connection.execute(SQL["insert_rollout"], parameters)
            for place, hub_id in enumerate(hub_ids):
                stage = stage_of(place, len(hub_ids), shares)
                await connection.execute(
                    SQL["insert_rollout_hub"], {"rollout_id": rollout_id, "hub_id": hub_id, "stage": stage}
                )
            await store.add_deed(connection, present_actor(), "rollout_started", rollout_id, release.version)
            return await _one(connection, rollout_id)

    async def listed(self, _request: Empty) -> RolloutList:
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["rollouts"], {"rollout_id": None})
        return RolloutList(rollouts=tuple([_rollout(row) for row in rows]))

    async def show(self, request: RolloutName) -> RolloutSheet:
        now = self._clock()
        async with self._database.transaction() as connection:
            rollout = await _one(connection, request.rollout_id)
            members = await self._members(connection, rollout.rollout_id)
        is_over = rollout.ended_at_ms is not None
        return RolloutSheet(
            rollout=rollout,
            hubs=tuple(
                [
                    RolloutHub(
                        hub_id=one.hub_id,
                        stage=one.stage,
                        standing=Standing.TOOK
                        if is_over and one.outcome == "applied"
                        else standing(one, rollout.version, now),
                        agent_version=one.agent_version,
                        reason=one.reason,
                    )
                    for one in members
                ]
            ),
        )

    async def change(self, request: RolloutChange) -> Rollout:
        if request.state not in (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.STOPPED):
            raise RefusedError(400, "A rollout can be paused, resumed or stopped.")
        async with self._database.transaction() as connection:
            rollout_id = (await _one(connection, request.rollout_id)).rollout_id
            ((state,),) = await fetch_all(connection, SQL["lock_rollout"], {"rollout_id": rollout_id})
            if state not in (RolloutState.RUNNING, RolloutState.PAUSED):
                raise RefusedError(409, f"It is {state}, and stays so: start another one.")
            if state != request.state:
                await self._set(connection, rollout_id, request.state, present_actor())
            return await _one(connection, rollout_id)

    async def step(self) -> None:
        """What the running rollout needs now. Called every few seconds; of two replicas one does it."""
        now = self._clock()
        async with self._database.transaction() as connection:
            for rollout_id, sha256, version, stages, stage, _, soak, within, most in await fetch_all(
                connection, SQL["running_rollout"], {}
            ):
                course = Course(version, tuple(stages), stage, timedelta(seconds=soak), most)
                match next_step(course, await self._members(connection, rollout_id), now):
                    case Give(hub_ids):
                        expires_ms = to_ms(now + timedelta(seconds=within))
                        await self._give(connection, rollout_id, sha256, hub_ids, expires_ms)
                    case NextStage():
                        await connection.execute(SQL["next_stage"], {"rollout_id": rollout_id, "now": now})
                        await store.add_deed(connection, BY_ITSELF, "rollout_stage", rollout_id, str(stage + 1))
                    case Finish():
                        await self._set(connection, rollout_id, RolloutState.DONE, BY_ITSELF)
                    case Halt(reason):
                        LOG.error("rollout_halted version=%s reason=%s", version, reason)
                        await self._set(connection, rollout_id, RolloutState.HALTED, BY_ITSELF, reason)

    async def _give(
        self, connection: Connection, rollout_id: str, sha256: str, hub_ids: tuple[str, ...], expires_ms: int
    ) -> None:
        ((text, signature),) = await fetch_all(connection, SQL["signature_of_release"], {"sha256": sha256})
        fields = (EventField("manifest", text), EventField("signature", base64.b64encode(signature).decode()))
        for hub_id in hub_ids:
            command_id = str(uuid.uuid4())
            await self._commands.put(
                connection, Command(SCHEMA_VERSION, command_id, hub_id, UPDATE, expires_ms, fields)
            )
            about = {"rollout_id": rollout_id, "hub_id": hub_id, "command_id": command_id}
            await connection.execute(SQL["give_to_rollout_hub"], about)
            await store.add_deed(connection, BY_ITSELF, "command_update", hub_id, command_id)

    async def _set(
        self, connection: Connection, rollout_id: str, state: RolloutState, actor: str, reason: str = ""
    ) -> None:
        now = self._clock()
        is_over = state not in (RolloutState.RUNNING, RolloutState.PAUSED)
        parameters = {
            "rollout_id": rollout_id,
            "state": state.value,
            "ended_at": now if is_over else None,
            "reason": reason,
            "now": now,
        }
        await connection.execute(SQL["set_rollout"], parameters)
        if is_over:
            await connection.execute(SQL["withdraw_rollout_commands"], parameters)
        await store.add_deed(connection, actor, f"rollout_{state.value}", rollout_id, reason)

    async def _members(self, connection: Connection, rollout_id: str) -> list[Member]:
        parameters = {
            "rollout_id": rollout_id,
            "now": self._clock(),
            "offline_after_seconds": OFFLINE_AFTER_SECONDS,
        }
        return [Member(*row) for row in await fetch_all(connection, SQL["rollout_hubs"], parameters)]


async def _one(connection: Connection, rollout_id: str | None) -> Rollout:
    try:
        wanted = None if rollout_id is None else str(uuid.UUID(rollout_id))
    except ValueError as wrong:
        raise RefusedError(400, "That is no rollout's number: bedside-cloud fleet rollout list shows them.") from wrong
    rows = await fetch_all(connection, SQL["rollouts"], {"rollout_id": wanted})
    if not rows:
        raise RefusedError(404, "There is no such rollout: bedside-cloud fleet rollout list shows all.")
    return _rollout(rows[0])


def _rollout(row: Any) -> Rollout:
    rollout_id, version, sha256, state, stages, stage, hubs, started_at, ended_at, reason = row
    return Rollout(
        rollout_id=rollout_id,
        version=version,
        sha256=sha256,
        state=RolloutState(state),
        stages=tuple(stages),
        stage=stage,
        hubs=hubs,
        started_at_ms=to_ms(started_at),
        ended_at_ms=None if ended_at is None else to_ms(ended_at),
        reason=reason,
    )
