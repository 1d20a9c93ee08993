"""A radio that is opened when somebody first needs it: a hub with serial devices alone never loads one."""

import asyncio
from collections.abc import Awaitable, Callable

from bedside_agent.radio.central import NO_PAIRING, Central, Found, Link, Pairing, Target


class DeferredCentral:
    """See `central.Central`. What opening it raises comes out of the call that needed it."""

    def __init__(self, open_central: Callable[[], Awaitable[Central]]) -> None:
        self._open = open_central
        self._opening = asyncio.Lock()
        self._central: Central | None = None

    async def scan(self, *, seconds: float) -> tuple[Found, ...]:
        """See `central.Central`."""
        return await (await self._opened()).scan(seconds=seconds)

    async def listen(self, hear: Callable[[Found], None], *, seconds: float) -> None:
        """See `central.Central`."""
        await (await self._opened()).listen(hear, seconds=seconds)

    async def find(self, target: Target, *, timeout_seconds: float) -> Found:
        """See `central.Central`."""
        return await (await self._opened()).find(target, timeout_seconds=timeout_seconds)

    async def connect(
        self, found: Found, on_lost: Callable[[], None], *, timeout_seconds: float, pairing: Pairing = NO_PAIRING
    ) -> Link:
        """See `central.Central`."""
        central = await self._opened()
        return await central.connect(found, on_lost, timeout_seconds=timeout_seconds, pairing=pairing)

    async def is_bonded(self, found: Found) -> bool:
        """See `central.Central`."""
        return await (await self._opened()).is_bonded(found)

    async def forget_bond(self, found: Found) -> None:
        """See `central.Central`."""
        await (await self._opened()).forget_bond(found)

    async def close(self) -> None:
        """See `central.Central`."""
        if self._central is not None:
            await self._central.close()

    async def _opened(self) -> Central:
        async with self._opening:
            if self._central is None:
                self._central = await self._open()
            return self._central
