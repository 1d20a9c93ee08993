"""Commands from the cloud: followed once, answered the same way however often they come."""

import json
from collections.abc import Callable, Mapping

from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.command import Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.signed import SignedDocument

STATE = "commands"
MOST = 64
"""Answers remembered: far more commands than a cloud has open for one hub."""

UNKNOWN = "unknown_kind"
EXPIRED = "expired"


class Commands:
    """`actions` are the kinds that this agent knows; each may be followed twice if power fails in between."""

    def __init__(
        self, store: Store, clock: Clock, authority: Authority, actions: Mapping[str, Callable[[], None]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._authority = authority
        self._actions = actions
        try:
            saved = json.loads(store.state.get(STATE, b"{}"))
            self._answers = {str(key): str(reason) for key, reason in saved.items()}
        except (ValueError, AttributeError):
            # Forgotten answers are worked out again.
            self._answers = {}

    async def follow(self, document: SignedDocument) -> Reply:
        """The answer to a command; UntrustedError or WireError when it is not to be answered."""
        now = self._clock.now()
        synced = now.quality is ClockQuality.SYNCED
        command = self._authority.command(document, now.utc_ms if synced else None)
        reason = self._answers.get(command.command_id)
        if reason is None:
            reason = ""
            action = self._actions.get(command.kind)
            if synced and now.utc_ms >= command.expires_at_ms:
                reason = EXPIRED
            elif action is None:
                reason = UNKNOWN
            else:
                action()
            self._answers[command.command_id] = reason
            while len(self._answers) > MOST:
                self._answers.pop(next(iter(self._answers)))
            await self._store.put_state({STATE: json.dumps(self._answers).encode()})
        outcome = Outcome.REFUSED if reason else Outcome.APPLIED
        return Reply(SCHEMA_VERSION, command.hub_id, command.command_id, outcome, reason=reason)
