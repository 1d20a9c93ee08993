"""The part that sound, light and speech share: one task that gives a pattern until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable

from bedside_agent.signals.signal import Pattern, SignalError

RETRY_SECONDS = 10.0
"""After a failure; a sound device that was unplugged may come back."""


class Giver:
    """Runs `give(pattern)` once, or again and again with the pause it answers. `trouble` is why the last one failed."""

    def __init__(self, give: Callable[[Pattern], Awaitable[float]]) -> None:
        self.trouble: str | None = None
        self._give = give
        self._task: asyncio.Task[None] | None = None

    async def start(self, pattern: Pattern) -> None:
        """End what went before, and begin."""
        await self.stop()
        self._task = asyncio.create_task(self._go_on(pattern))

    async def stop(self) -> None:
        """End it, and wait until it has ended."""
        task, self._task = self._task, None
        self.trouble = None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _go_on(self, pattern: Pattern) -> None:
        while True:
            try:
                pause = await self._give(pattern)
                self.trouble = None
                if not pattern.repeats:
                    return
            except SignalError as error:
                # Giving up would leave the patient without a signal that may come back.
                self.trouble, pause = error.reason, RETRY_SECONDS
            await asyncio.sleep(pause)
