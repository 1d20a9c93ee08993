"""Carries out what a profile's conversation wants said, on one link.

Values are handed to the conversation in the order in which they came, one step is carried out after the other, and
what is refused is an answer. Without an answer in time about its own characteristics a device's state is unknown, and
the connection ends. About a side matter, such as its clock, that is a refusal: some stacks try to pair unasked, and a
device that was well read so far must not be lost for it.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from bedside_agent.radio.central import AccessRefusedError, CallTimedOutError, CharacteristicMissingError, Link
from bedside_profiles.conversation import (
    ClockMeasured,
    Conversation,
    Finish,
    LeaveAlone,
    Moment,
    Read,
    Remember,
    Step,
    Trouble,
    Write,
)

Call = Callable[[], Awaitable[bytes | None]]
Permitted = Callable[[Call], Awaitable[bytes | None]]
"""Makes a call, and makes it again once a bond was made, where the device refuses it for want of one."""

LocalTime = Callable[[], datetime | None]
"""The wall time where the patient lives, without a zone; None while the hub does not know it."""


class Hearer(Protocol):
    """Is told what the conversation finds out; must not block."""

    def remember(self, position: str) -> None:
        """What was heard up to here need not be asked for again, once it is kept."""
        ...

    def clock_measured(self, measured: ClockMeasured) -> None:
        """How wrong the device's clock is."""
        ...

    def trouble(self, reason: str) -> None:
        """The device does not do what it should."""
        ...


class Dialogue:
    """One connection's. Hand every subscribed value to `hear`; `run` carries out what is to be said."""

    def __init__(
        self,
        conversation: Conversation,
        link: Link,
        hearer: Hearer,
        local_time: LocalTime,
        *,
        own: Sequence[str],
        call_seconds: float,
        permitted: Permitted,
    ) -> None:
        """`own` are the characteristics without which there is no talking: calls of theirs go through `permitted`, and
        one that is refused for want of a bond all the same, or is not answered, ends the link."""
        self._conversation = conversation
        self._link = link
        self._hearer = hearer
        self._local_time = local_time
        self._own = frozenset(own)
        self._call_seconds = call_seconds
        self._permitted = permitted
        self._heard: deque[tuple[str, bytes]] = deque()
        self._something = asyncio.Event()
        self._steps: deque[Step] = deque()
        self.pause_when_lost_seconds: float | None = None
        """For how long the device is left alone if the link ends now; None when that is a loss."""

    def hear(self, characteristic: str, payload: bytes) -> None:
        """A subscribed value. Never blocks."""
        self._heard.append((characteristic, payload))
        self._something.set()

    async def run(self, after_begin: Callable[[], Awaitable[None]]) -> float:
        """Talk until all is said; for how many seconds the device is left alone then. Raises `RadioError`.

        `after_begin` is done once the first steps were: some devices are to be spoken to within seconds.
        """
        self._steps.extend(self._conversation.begin(self._now()))
        pause = await self._carry_out()
        if pause is None:
            await after_begin()
        while pause is None:
            await self._wait()
            while self._heard:
                characteristic, payload = self._heard.popleft()
                self._steps.extend(self._conversation.hear(characteristic, payload, self._now()))
            now = self._now()
            wakes = self._conversation.wakes_at_seconds
            if wakes is not None and wakes <= now.seconds:
                self._steps.extend(self._conversation.wake(now))
            pause = await self._carry_out()
        return pause

    async def _wait(self) -> None:
        """Until something is heard, or the conversation wants to be woken."""
        try:
            async with asyncio.timeout_at(self._conversation.wakes_at_seconds):
                await self._something.wait()
        except TimeoutError:
            pass
        self._something.clear()

    async def _carry_out(self) -> float | None:
        """All steps that wait; the pause when one of them was the last."""
        while self._steps:
            step = self._steps.popleft()
            if isinstance(step, Finish):
                return step.pause_seconds
            if isinstance(step, LeaveAlone):
                self.pause_when_lost_seconds = step.pause_seconds
            elif isinstance(step, Trouble):
                self._hearer.trouble(step.reason)
            elif isinstance(step, Remember):
                self._hearer.remember(step.position)
            elif isinstance(step, ClockMeasured):
                self._hearer.clock_measured(step)
            else:
                self._steps.extend(await self._exchange(step))
        return None

    async def _exchange(self, step: Write | Read) -> Sequence[Step]:
        try:
            call = functools.partial(self._call, step)
            payload = await (self._permitted(call) if step.characteristic in self._own else call())
        except AccessRefusedError as error:
            if error.needs_pairing and step.characteristic in self._own:
                raise
            return self._conversation.refused(step, self._now())
        except CallTimedOutError:
            if step.characteristic in self._own:
                raise
            return self._conversation.refused(step, self._now())
        except CharacteristicMissingError:
            return self._conversation.refused(step, self._now())
        return () if payload is None else self._conversation.hear(step.characteristic, payload, self._now())

    async def _call(self, step: Write | Read) -> bytes | None:
        """The value that was read."""
        seconds = self._call_seconds
        if isinstance(step, Read):
            return await self._link.read(step.characteristic, timeout_seconds=seconds)
        await self._link.write(
            step.characteristic, step.payload, timeout_seconds=seconds, acknowledged=step.acknowledged
        )
        return None

    def _now(self) -> Moment:
        return Moment(asyncio.get_running_loop().time(), self._local_time())
