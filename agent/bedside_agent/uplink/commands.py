"""Commands from the cloud: followed once, answered the same way however often they come."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.command import Command, Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.signed import SignedDocument

STATE = "commands"
MOST = 64
"""Answers remembered: far more commands than a cloud has open for one hub."""

UNKNOWN = "unknown_kind"
EXPIRED = "expired"

Action = Callable[[], Awaitable[bytes]]
"""Does what a command asks for; what it asks back, or nothing. Raises `CommandFailedError`."""


Work = Callable[[Command, bool], str | None]
"""What a long command has come to, asked each time that it comes: empty when it is done, else why not; None while it
goes on. The second argument is whether the command's time is over: then it is not begun."""


class CommandFailedError(Exception):
    """It could not be done; the text says why, to a technician."""


class Commands:
    """`actions` are the kinds that this agent knows; each may be followed twice if power fails in between. `works` are
    those that take longer than an answer may.

    `followed(kind, reason)` is called once a command is answered; the reason is empty for one that was done.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        authority: Authority,
        actions: Mapping[str, Action],
        followed: Callable[[str, str], None] = lambda kind, reason: None,
        works: Mapping[str, Work] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._authority = authority
        self._actions = actions
        self._followed = followed
        self._works = works or {}
        self._in_turn = asyncio.Lock()
        self._newest: tuple[str, bytes] = ("", b"")
        try:
            saved = json.loads(store.state.get(STATE, b"{}"))
            self._answers = {str(key): str(reason) for key, reason in saved.items()}
        except (ValueError, AttributeError):
            # Forgotten answers are worked out again.
            self._answers = {}

    async def follow(self, document: SignedDocument) -> Reply | None:
        """The answer to a command, None while it is under way; UntrustedError or WireError when there is to be none.

        One after the other: a command that comes again while it is followed gets the same answer.
        """
        now = self._clock.now()
        synced = now.quality is ClockQuality.SYNCED
        command = self._authority.command(document, now.utc_ms if synced else None)
        async with self._in_turn:
            reason = self._answers.get(command.command_id)
            if reason is None:
                reason = await self._done(command, is_late=synced and now.utc_ms >= command.expires_at_ms)
                if reason is None:
                    return None
                await self._remember(command.command_id, reason)
                self._followed(command.kind, reason)
        number, content = self._newest
        outcome = Outcome.REFUSED if reason else Outcome.APPLIED
        return Reply(
            SCHEMA_VERSION,
            command.hub_id,
            command.command_id,
            outcome,
            reason=reason,
            content=content if number == command.command_id else b"",
        )

    async def _done(self, command: Command, *, is_late: bool) -> str | None:
        """Empty once it is done, None while it goes on; else why not."""
        work = self._works.get(command.kind)
        if work is not None:
            return work(command, is_late)
        action = self._actions.get(command.kind)
        if is_late:
            return EXPIRED
        if action is None:
            return UNKNOWN
        try:
            self._newest = (command.command_id, await action())
        except CommandFailedError as error:
            return str(error)[:1000]
        return ""

    async def _remember(self, command_id: str, reason: str) -> None:
        self._answers[command_id] = reason
        while len(self._answers) > MOST:
            self._answers.pop(next(iter(self._answers)))
        await self._store.put_state({STATE: json.dumps(self._answers).encode()})
