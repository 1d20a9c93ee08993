"""A hub that comes back hears what became of its alarms meanwhile: an acknowledgement is said once, and was missed."""

import logging
from collections.abc import Callable

from bedside_cloud.alerting import store
from bedside_cloud.alerting.announcing import Announcer
from bedside_cloud.database.pool import Database, unavailable
from bedside_profiles.errors import WireError
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import parse_topic

LOG = logging.getLogger(__name__)

REMEMBERED_MS = 24 * 3_600_000
"""What is over for longer does not interest a hub any more."""


class Returning:
    """One of several replicas hears each status, and tells a session that it has not told yet: a hub may be told
    twice, and ignores what it knows."""

    def __init__(self, database: Database, announcer: Announcer, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._announcer = announcer
        self._now_ms = now_ms
        self._sessions: dict[str, str] = {}

    async def on_status(self, where: str, body: bytes) -> None:
        """A hub says how it is; the first time in a session, it is told."""
        try:
            hub_id, _ = parse_topic(where)
            status = decode(Status, body)
        except WireError as wrong:
            LOG.warning("refused what=status reason=%s", wrong.reason)
            return
        if status.state is not HubState.ONLINE or self._sessions.get(hub_id) == status.session:
            return
        try:
            async with self._database.transaction() as connection:
                records = await store.alerts_of_hub(connection, hub_id, self._now_ms() - REMEMBERED_MS)
        except unavailable as cause:
            # Its next status finds the session untold.
            LOG.warning("returning_waits hub=%s cause=%s", hub_id, type(cause).__name__)
            return
        await self._announcer.remind(records)
        self._sessions[hub_id] = status.session
