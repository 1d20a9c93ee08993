"""One configured serial device, for ever: open its line, listen, and open it again when it breaks or falls silent."""

import asyncio
import random
from typing import Protocol

from bedside_agent.serial.port import PortError, PortOpener
from bedside_profiles.profile import SerialProfile
from bedside_profiles.wire.status import LinkState

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
"""A replugged device is read again within five seconds."""


class Ear(Protocol):
    """Hears the device; must not block."""

    def connected(self) -> None:
        """The line was opened; a new stream begins."""
        ...

    def hear(self, payload: bytes) -> None:
        """The next bytes of the stream."""
        ...


class Teller(Protocol):
    """Is told when the link changes."""

    def connected(self) -> None:
        """The first bytes came."""
        ...

    def lost(self, reason: str) -> None:
        """It was connected and is no more."""
        ...


class SerialSession:
    """Run it as one task. `link` is what the hub's status says: connected only while bytes come."""

    def __init__(
        self,
        path: str,
        profile: SerialProfile,
        open_port: PortOpener,
        ear: Ear,
        teller: Teller,
        *,
        jitter: random.Random,
    ) -> None:
        self.link = LinkState.SEARCHING
        self.last_error: PortError | None = None
        self._path = path
        self._profile = profile
        self._open_port = open_port
        self._ear = ear
        self._teller = teller
        self._jitter = jitter

    async def run(self) -> None:
        """Keep the line open until cancelled."""
        failures = 0
        while True:
            try:
                await self._one_opening()
            except PortError as error:
                self.last_error = error
                failures = 1 if self.link is LinkState.CONNECTED else failures + 1
                if self.link is LinkState.CONNECTED:
                    self.link = LinkState.LOST
                    self._teller.lost(error.reason)
                step = min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 8), LONGEST_WAIT_SECONDS)
                await asyncio.sleep(step * (0.5 + 0.5 * self._jitter.random()))

    async def _one_opening(self) -> None:
        """Raises the `PortError` that ended it."""
        port = self._open_port(self._path, self._profile.line)
        try:
            self._ear.connected()
            while True:
                try:
                    async with asyncio.timeout(self._profile.silence_seconds):
                        data = await port.read()
                except TimeoutError:
                    raise PortError(self._path, f"open, but silent for {self._profile.silence_seconds:g} s") from None
                if self.link is not LinkState.CONNECTED:
                    self.link, self.last_error = LinkState.CONNECTED, None
                    self._teller.connected()
                self._ear.hear(data)
        finally:
            await port.close()
