"""One configured serial device, for ever: find it, open its line, listen and speak, and begin again when it goes.

What is said to it, its profile's conversation decides; the session carries the steps out, in order. A line is opened
only while something is plugged in, and that is looked at twice a second: a replug under another name is read again
within five seconds, and a device that is not there costs no attempt.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Protocol

from bedside_agent.serial.place import Absent, Place, Plugged
from bedside_agent.serial.port import Port, PortError, PortOpener
from bedside_profiles.conversation import ClockMeasured, Finish, Moment, Remember, Step, Trouble, Write
from bedside_profiles.line_fit import LineJudge
from bedside_profiles.profile import SerialProfile
from bedside_profiles.wire.status import LinkState

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.5
"""Between two looks at whether it is plugged in: ten fit into the five seconds within which a replug is read again."""

STORED_SECONDS = 10.0
"""How long an answer waits for the disk. Unanswered, the device says it again, and nothing is lost."""


class Ear(Protocol):
    """Hears the device; must not block."""

    def connected(self) -> None:
        """The line was opened; a new stream begins."""
        ...

    def hear(self, payload: bytes) -> None:
        """The next bytes of the stream."""
        ...

    def disconnected(self) -> None:
        """The line is closed."""
        ...

    def remember(self, position: str) -> None:
        """What was heard so far need not be asked for again, once it is on the disk."""
        ...

    async def stored(self) -> None:
        """Return when everything heard so far is on the disk."""
        ...


class Teller(Protocol):
    """Is told when the link changes."""

    def connected(self) -> None:
        """The first bytes came."""
        ...

    def lost(self, reason: str) -> None:
        """It was connected and is no more."""
        ...

    def done(self) -> None:
        """All was said and heard, and the line is closed for a while."""
        ...

    def trouble(self, reason: str) -> None:
        """It does not do what it should, in another way than before."""
        ...

    def clock(self, measured: ClockMeasured) -> None:
        """How wrong the device's clock is."""
        ...


class SerialSession:
    """Run it as one task. `link` is what the hub's status says: connected only while bytes come.

    `moment` is the present time, with `seconds` of the event loop.
    """

    def __init__(
        self,
        place: Place,
        profile: SerialProfile,
        open_port: PortOpener,
        ear: Ear,
        teller: Teller,
        *,
        moment: Callable[[], Moment],
        jitter: random.Random,
    ) -> None:
        self.link = LinkState.SEARCHING
        self.last_error: PortError | None = None
        self._place = place
        self._profile = profile
        self._open_port = open_port
        self._ear = ear
        self._teller = teller
        self._moment = moment
        self._jitter = jitter
        self._told_connected = False
        self._told_done = False
        self._judge = LineJudge(profile)
        self._trouble: str | None = None
        self._troubled_now = False

    async def run(self) -> None:
        """Read the device until cancelled."""
        failures = 0
        while True:
            there = self._place()
            if isinstance(there, Absent):
                self._absent(there)
                await asyncio.sleep(LOOK_SECONDS)
                continue
            self._troubled_now, self._judge = False, LineJudge(self._profile)
            try:
                wait_seconds = await self._one_opening(there.path)
                self.link, failures = LinkState.SEARCHING, 0
                self._done()
            except PortError as error:
                self.last_error = error
                failures = 1 if self.link is LinkState.CONNECTED else failures + 1
                self._lost(error.reason)
                step = min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 8), LONGEST_WAIT_SECONDS)
                wait_seconds = step * (0.5 + 0.5 * self._jitter.random())
            if self._judge.makes_sense and not self._troubled_now:
                self._trouble = None
            await self._wait(wait_seconds, there)

    async def _one_opening(self, path: str) -> float:
        """How many seconds the device is left alone for. Raises the `PortError` that ended it."""
        port = self._open_port(path, self._profile.line)
        try:
            self._ear.connected()
            return await self._converse(port, path)
        finally:
            self._ear.disconnected()
            await port.close()

    async def _converse(self, port: Port, path: str) -> float:
        loop = asyncio.get_running_loop()
        conversation = None if self._profile.converse is None else self._profile.converse()
        steps: Sequence[Step] = () if conversation is None else conversation.begin(self._moment())
        heard_at = loop.time()
        silence = self._profile.silence_seconds
        while True:
            finished = await self._carry_out(steps, port, path)
            if finished is not None:
                if not self._troubled_now:
                    self._trouble = None
                return finished.pause_seconds
            falls_silent_at = None if silence is None else heard_at + silence
            wakes_at = None if conversation is None else conversation.wakes_at_seconds
            data = await _read_until(port, _earlier(wakes_at, falls_silent_at))
            steps = ()
            if data:
                heard_at = loop.time()
                self._hear(data)
            elif falls_silent_at is not None and falls_silent_at <= loop.time():
                raise PortError(path, f"open, but silent for {silence:g} s")
            if conversation is None:
                continue
            if data:
                steps = conversation.hear("", data, self._moment())
            # Also when bytes come all the time: who only listens would never be woken.
            wakes_at = conversation.wakes_at_seconds
            if wakes_at is not None and wakes_at <= loop.time():
                steps = [*steps, *conversation.wake(self._moment())]

    async def _carry_out(self, steps: Sequence[Step], port: Port, path: str) -> Finish | None:
        """In order; the one that ends the conversation is answered, and what stands behind it is not carried out."""
        for step in steps:
            if isinstance(step, Finish):
                return step
            if isinstance(step, Trouble):
                # Who asks in vain does not know that something else answers.
                self._say_trouble(self._judge.doubt() or step.reason)
            elif isinstance(step, Remember):
                self._ear.remember(step.position)
            elif isinstance(step, ClockMeasured):
                self._teller.clock(step)
            elif isinstance(step, Write):
                if step.after_stored:
                    await self._until_stored(path)
                await port.write(step.payload)
        return None

    async def _until_stored(self, path: str) -> None:
        try:
            async with asyncio.timeout(STORED_SECONDS):
                await self._ear.stored()
        except TimeoutError:
            raise PortError(path, "what it said is not on the disk: it is not answered, and says it again") from None

    def _hear(self, data: bytes) -> None:
        self.link, self.last_error = LinkState.CONNECTED, None
        if not self._told_connected:
            self._told_connected = True
            self._teller.connected()
        self._ear.hear(data)
        if (doubt := self._judge.hear(data)) is not None:
            self._say_trouble(doubt)

    def _done(self) -> None:
        """Told once each time it is plugged in: a meter that stays is read again and again."""
        if self._told_connected and not self._troubled_now and not self._told_done:
            self._told_done = True
            self._teller.done()

    def _lost(self, reason: str) -> None:
        if self._told_connected:
            self._told_connected = self._told_done = False
            self.link = LinkState.LOST
            self._teller.lost(reason)

    def _absent(self, absent: Absent) -> None:
        self.last_error = PortError(absent.where, absent.reason)
        self._lost(absent.reason)
        if absent.ambiguous:
            self._say_trouble(absent.reason)

    def _say_trouble(self, reason: str) -> None:
        self._troubled_now = True
        if reason != self._trouble:
            self._trouble = reason
            self._teller.trouble(reason)

    async def _wait(self, seconds: float, there: Plugged) -> None:
        """For so long, or until what is plugged in is no more what it was: a replug is worth an attempt at once."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            if self._place() != there:
                return


def _earlier(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)


async def _read_until(port: Port, at: float | None) -> bytes:
    """Nothing when the time has come first. Raises `PortError`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(at):
            return await port.read()
    return b""
