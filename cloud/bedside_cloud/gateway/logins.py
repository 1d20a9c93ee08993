"""Which log-ins ended before their time: at hand without identity, told by it and asked for in turn.

What was heard once is never let go of while its token would be good, so that it stays refused while identity is away.
A gateway that has just started lets nobody in before it has heard the list, as it does before it has the keys.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from pydantic import ValidationError

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import BusError
from bedside_cloud.contracts.identity import ENDED_LOGINS, LOGINS_CHANGED, EndedLogins
from bedside_cloud.contracts.message import Empty

LOG = logging.getLogger(__name__)

REFRESH_SECONDS = 10.0
"""How often the list is asked for although nobody said that it changed: the bound on a lost hint."""

LATE_CLOCK_SECONDS = 3600


class Logins:
    """`told` is called after something ended: open event streams look again whether theirs did."""

    def __init__(self, bus: Bus, told: Callable[[], None]) -> None:
        self._bus = bus
        self._told = told
        self._heard = False
        self._refuse_issued_before_ms = 0
        self._series: dict[str, int] = {}
        self._logins: dict[str, int] = {}

    async def start(self) -> None:
        """Hear of every end from now on; the subscription outlives a broker's restart."""
        await self._bus.confirm(LOGINS_CHANGED, self._on_changed)

    async def run(self) -> None:
        """Ask in turn, for ever."""
        while True:
            try:
                await self._refresh()
            except (BusError, ValidationError) as cause:
                LOG.info("ended_logins_not_heard cause=%s", type(cause).__name__)
            await asyncio.sleep(REFRESH_SECONDS)

    async def heard(self) -> None:
        """Return once the list was heard; BusError while identity has never answered."""
        if not self._heard:
            await self._refresh()

    def is_ended(self, person_id: str, login_id: str, series: int, issued_at: int) -> bool:
        """Whether a log-in is not good any more. `issued_at` is in whole seconds since 1970."""
        return (
            login_id in self._logins
            or series < self._series.get(person_id, 0)
            or (issued_at + 1) * 1000 <= self._refuse_issued_before_ms
        )

    def take(self, news: EndedLogins) -> None:
        """Add what ended; nothing that was known is let go of but what has expired."""
        self._refuse_issued_before_ms = max(self._refuse_issued_before_ms, news.refuse_issued_before_ms)
        for one in news.series:
            self._series[one.person_id] = max(one.series, self._series.get(one.person_id, 0))
        over_ms = (time.time() - LATE_CLOCK_SECONDS) * 1000
        self._logins = {login_id: at_ms for login_id, at_ms in self._logins.items() if at_ms > over_ms} | {
            one.login_id: one.expires_at_ms for one in news.logins
        }
        self._told()

    async def _on_changed(self, body: bytes) -> None:
        self.take(EndedLogins.model_validate_json(body))

    async def _refresh(self) -> None:
        self.take(await self._bus.request(ENDED_LOGINS, Empty(), EndedLogins))
        self._heard = True
