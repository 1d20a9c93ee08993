"""Answers the broker's question whom to let in."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bedside_cloud.bus.connection import Bus
from bedside_cloud.database.pool import unavailable
from bedside_cloud.identity.callout import Denied, Granted, Question, answer, decide, parse_question
from bedside_cloud.identity.snapshot import Snapshots

LOG = logging.getLogger(__name__)

QUESTION = "$SYS.REQ.USER.AUTH"


class Doorkeeper:
    """Decides from the snapshot at hand; only a hub it does not know makes it look into the database once."""

    def __init__(self, snapshots: Snapshots, seed: str, clock: Callable[[], datetime]) -> None:
        self._snapshots = snapshots
        self._seed = seed
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def attend(self, bus: Bus) -> None:
        """Answer from now on, sharing the questions with the other replicas."""

        async def on_question(message: Any) -> None:
            task = asyncio.create_task(self._reply(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await bus.client.subscribe(QUESTION, queue="identity", cb=on_question)

    async def _reply(self, message: Any) -> None:
        try:
            question = parse_question(message.data)
        except (ValueError, KeyError, IndexError, TypeError) as cause:
            # Without the asker's key nothing can be answered; the broker then refuses by its time-out.
            LOG.error("question_not_understood cause=%s", type(cause).__name__)
            return
        decision = await self.decision(question)
        if isinstance(decision, Denied):
            LOG.warning("denied client=%s reason=%s", question.mqtt_client_id[:64], decision.reason)
        await message.respond(answer(question, decision, self._seed, self._clock()))

    async def decision(self, question: Question) -> Granted | Denied:
        """Whether the asker is let in. A hub that enrolled a moment ago may be missing in our snapshot."""
        decision = decide(question, self._snapshots.current, self._clock())
        if isinstance(decision, Denied) and decision.unknown_hub:
            try:
                async with asyncio.timeout(1):
                    await self._snapshots.refresh()
            except (*unavailable, TimeoutError):
                return decision
            return decide(question, self._snapshots.current, self._clock())
        return decision
