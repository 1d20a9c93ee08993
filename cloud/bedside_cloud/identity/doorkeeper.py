"""Answers the broker's question whom to let in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.identity_administration import IdentityChanged, IncidentKind
from bedside_cloud.database.pool import Database, unavailable
from bedside_cloud.engines.certificates.revocation import RevokedFor
from bedside_cloud.identity import store
from bedside_cloud.identity.callout import (
    RENEWAL_SUFFIX,
    Denied,
    Granted,
    Question,
    answer,
    decide,
    parse_question,
)
from bedside_cloud.identity.snapshot import Snapshots

LOG = logging.getLogger(__name__)

QUESTION = "$SYS.REQ.USER.AUTH"


class Doorkeeper:
    """Decides from the snapshot at hand; only a hub it does not know makes it look into the database once.

    `noticed` is told of each decision after it was answered; what it raises is logged, and nobody waits for it.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        seed: str,
        clock: Callable[[], datetime],
        noticed: Callable[[Granted | Denied], Awaitable[None]],
    ) -> None:
        self._noticed = noticed
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
        try:
            await self._noticed(decision)
        except (*unavailable, TimeoutError) as cause:
            # A hub that adopts a certificate does so again at its next connection.
            LOG.warning("not_noted client=%s cause=%s", question.mqtt_client_id[:64], type(cause).__name__)

    async def decision(self, question: Question) -> Granted | Denied:
        """Whether the asker is let in. A hub that enrolled a moment ago may be missing in our snapshot."""
        decision = decide(question, self._snapshots.current, self._clock())
        if isinstance(decision, Denied) and decision.unknown_hub:
            try:
                async with asyncio.timeout(1):
                    await self._snapshots.refresh_hub(question.mqtt_client_id.removesuffix(RENEWAL_SUFFIX))
            except (*unavailable, TimeoutError):
                return decision
            return decide(question, self._snapshots.current, self._clock())
        return decision


async def note(database: Database, decision: Granted | Denied, now: datetime) -> IdentityChanged | None:
    """Keep what a decision tells of a hub's certificates; what others have to decide by now."""
    if isinstance(decision, Denied):
        if decision.replaced is not None:
            async with database.transaction() as connection:
                await store.add_incident(connection, decision.replaced, IncidentKind.REPLACED_CERTIFICATE, now)
        return None
    if decision.adopts is None:
        return None
    async with database.transaction() as connection:
        if not await store.adopt(connection, decision.hub_id, decision.adopts, now):
            return None
        for serial in await store.revoke_certificates(
            connection, decision.hub_id, decision.adopts, RevokedFor.SUPERSEDED, now
        ):
            await store.add_deed(connection, decision.hub_id, "certificate_superseded", decision.hub_id, serial)
        version = await store.next_version(connection)
    LOG.info("adopted hub=%s", decision.hub_id)
    return IdentityChanged(version=version, hub_id=decision.hub_id)
