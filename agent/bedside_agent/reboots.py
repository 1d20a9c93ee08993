"""The reboots that the hub asked for: kept in the buffer, so that they are counted across them."""

import asyncio
from collections.abc import Sequence

from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock
from bedside_agent.radio.recovery import Standing
from bedside_profiles.readings import ClockQuality
from bedside_profiles.wire.topics import UpLane

NAME = "reboots"
COMMIT_SECONDS = 10.0


class Reboots:
    """See `radio.mending.Diary`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def standing(self, reboots_ms: Sequence[int]) -> Standing:
        """As things are now."""
        now = self._clock.now()
        return Standing(
            up_seconds=now.monotonic_ms / 1000,
            now_ms=now.utc_ms,
            knows_time=now.quality is ClockQuality.SYNCED,
            reboots_ms=reboots_ms,
            alarms_waiting=self._store.waiting().get(UpLane.ALARMS, 0),
            buffer_is_safe=self._store.trouble is None and self._store.failing is None,
        )

    def reboots(self) -> bytes | None:
        """What was kept."""
        return self._store.state.get(NAME)

    async def keep_reboots(self, record: bytes) -> None:
        """Return when it is on the disk. Raises TimeoutError when it does not get there."""
        async with asyncio.timeout(COMMIT_SECONDS):
            await asyncio.shield(self._store.put_state({NAME: record}))
