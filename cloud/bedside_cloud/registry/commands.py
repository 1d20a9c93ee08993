"""Commands to hubs: given once, signed, sent until they are answered or expire, and told in the record of deeds."""

import base64
import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from bedside_cloud.bus.actor import present_actor
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import hub_commands
from bedside_cloud.contracts.hub_commands import (
    CONTENT_DAYS,
    CommandList,
    CommandsRequest,
    CommandState,
    Content,
    ContentRequest,
    Given,
    GivenCommand,
    GiveRequest,
)
from bedside_cloud.database.pool import Connection, Database, fetch_all
from bedside_cloud.database.times import to_ms, to_time
from bedside_cloud.registry import store
from bedside_cloud.registry.plans import SQL
from bedside_cloud.registry.signing import Signer
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.command import Command, Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.topics import check_hub_id

LOG = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 60, 7 * 86_400
MOST_LISTED = 500


class Commands:
    """`clock` is the wall clock."""

    def __init__(self, database: Database, signer: Signer, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of commands."""
        return (
            Endpoint(hub_commands.COMMAND_GIVE, GiveRequest, self.give),
            Endpoint(hub_commands.COMMANDS, CommandsRequest, self.listed),
            Endpoint(hub_commands.COMMAND_CONTENT, ContentRequest, self.content),
        )

    async def give(self, request: GiveRequest) -> Given:
        """The same command that is open already is not given twice: a tech who asks again waits for the first."""
        hub_id = _checked(request.hub_id)
        if not SHORTEST_SECONDS <= request.valid_seconds <= LONGEST_SECONDS:
            raise RefusedError(400, "A command is valid for one minute to seven days: give --within 10m, 2h or 3d.")
        now = self._clock()
        async with self._database.transaction() as connection:
            await connection.execute(SQL["lock_hub"], {"hub_id": hub_id})
            if not await fetch_all(connection, SQL["hub_is_known"], {"hub_id": hub_id}):
                raise RefusedError(404, f"There is no hub {hub_id}: bedside-cloud fleet hub list shows all.")
            about = {"hub_id": hub_id, "kind": request.kind.value, "now": now}
            known = await fetch_all(connection, SQL["open_command_of_kind"], about)
            if known:
                return Given(command_id=known[0][0], is_new=False)
            expires_at = now + timedelta(seconds=request.valid_seconds)
            command_id = str(uuid.uuid4())
            await self.put(
                connection, Command(SCHEMA_VERSION, command_id, hub_id, request.kind.value, to_ms(expires_at))
            )
            await store.add_deed(connection, present_actor(), f"command_{request.kind.value}", hub_id, command_id)
        return Given(command_id=command_id, is_new=True)

    async def put(self, connection: Connection, command: Command) -> None:
        """Sign a command and have it sent until it is answered."""
        await connection.execute(
            SQL["insert_command"],
            {
                "command_id": command.command_id,
                "hub_id": command.hub_id,
                "kind": command.kind,
                "document": self._signer.signed(command),
                "given_at": self._clock(),
                "expires_at": to_time(command.expires_at_ms),
            },
        )

    async def listed(self, request: CommandsRequest) -> CommandList:
        hub_id = None if request.hub_id is None else _checked(request.hub_id)
        parameters = {"hub_id": hub_id, "most": min(max(request.most, 1), MOST_LISTED)}
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["commands"], parameters)
        now = self._clock()
        return CommandList(
            commands=tuple(
                [
                    GivenCommand(
                        command_id=command_id,
                        hub_id=of_hub,
                        kind=kind,
                        state=_state(outcome, expires_at, now),
                        given_at_ms=to_ms(given_at),
                        expires_at_ms=to_ms(expires_at),
                        answered_at_ms=None if answered_at is None else to_ms(answered_at),
                        reason=reason,
                        content_bytes=size,
                    )
                    for command_id, of_hub, kind, given_at, expires_at, answered_at, outcome, reason, size in rows
                ]
            )
        )

    async def content(self, request: ContentRequest) -> Content:
        try:
            command_id = str(uuid.UUID(request.command_id))
        except ValueError as wrong:
            raise RefusedError(
                400, "That is no command's number: bedside-cloud fleet command list shows them."
            ) from wrong
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["command_content"], {"command_id": command_id})
            if rows and rows[0][1]:
                await store.add_deed(connection, present_actor(), "command_content_read", command_id)
        if not rows or not rows[0][1]:
            raise RefusedError(404, f"The hub sent nothing for it, or more than {CONTENT_DAYS} days ago.")
        kind, content = rows[0]
        return Content(kind=kind, content_base64=base64.b64encode(content).decode())

    async def unanswered(self) -> list[tuple[str, bytes]]:
        """Hub and document of every command that a hub which is online has not answered; forgets old contents."""
        now = self._clock()
        async with self._database.transaction() as connection:
            await connection.execute(SQL["forget_contents"], {"before": now - timedelta(days=CONTENT_DAYS)})
            rows = await fetch_all(connection, SQL["unanswered_commands"], {"now": now})
        return [(hub_id, bytes(document)) for hub_id, document in rows]

    async def take_reply(self, hub_id: str, reply: Reply) -> None:
        """The hub's first answer counts."""
        parameters = {
            "hub_id": hub_id,
            "command_id": reply.about,
            "outcome": reply.outcome.value,
            "reason": reply.reason,
            "content": reply.content,
            "now": self._clock(),
        }
        async with self._database.transaction() as connection:
            fresh = await fetch_all(connection, SQL["answer_command"], parameters)
            if fresh:
                done = "applied" if reply.outcome is Outcome.APPLIED else "refused"
                await store.add_deed(connection, hub_id, f"command_{done}", hub_id, reply.about)
        if fresh:
            LOG.info("command_answered hub=%s kind=%s outcome=%s", hub_id, fresh[0][0], reply.outcome.value)


def _state(outcome: str | None, expires_at: datetime, now: datetime) -> CommandState:
    if outcome is not None:
        return CommandState(outcome)
    return CommandState.WAITING if now < expires_at else CommandState.EXPIRED


def _checked(hub_id: str) -> str:
    try:
        return check_hub_id(hub_id)
    except MalformedError as wrong:
        raise RefusedError(400, f"No hub has that id: it is {wrong.reason}.") from wrong
