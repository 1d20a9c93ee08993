"""One configured Bluetooth device, for ever: find it, connect, subscribe, listen, and begin again when it goes.

A radio stack may say "connected" long after the device or the stack itself is gone, so a connection is believed only
while data comes: each profile names the silence after which the link is taken for dead.
"""

import asyncio
import contextlib
import functools
import random
from dataclasses import dataclass
from typing import Protocol

from bedside_agent.radio.central import Central, CharacteristicMissingError, Link, LinkLostError, RadioError, Target
from bedside_agent.radio.patience import GiveUp, decide
from bedside_profiles.bluetooth import battery_service
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import BleProfile, Transfer
from bedside_profiles.wire.status import LinkState


@dataclass(frozen=True, slots=True)
class Timing:
    """`find` is one round of the search; a device out of range costs nothing but such rounds."""

    find_seconds: float = 60
    connect_seconds: float = 20
    call_seconds: float = 10
    disconnect_seconds: float = 5


class Ear(Protocol):
    """Hears the device; must not block."""

    def connected(self) -> None:
        """A connection begins."""
        ...

    def hear(self, payload: bytes, characteristic: str) -> None:
        """One value of a characteristic."""
        ...

    def disconnected(self) -> None:
        """The connection has ended: what was still waited for does not come."""
        ...

    def charged(self, percent: int) -> None:
        """How full the device's battery is."""
        ...


class Teller(Protocol):
    """Is told when the link changes."""

    def connected(self) -> None:
        """All subscriptions stand."""
        ...

    def lost(self, reason: str) -> None:
        """It was connected and is no more."""
        ...

    def given_up(self, reason: str) -> None:
        """It will not be tried again."""
        ...


class RadioSession:
    """Run it as one task. `link` is what the hub's status says of the device."""

    def __init__(
        self,
        target: Target,
        profile: BleProfile,
        central: Central,
        ear: Ear,
        teller: Teller,
        *,
        jitter: random.Random,
        timing: Timing | None = None,
    ) -> None:
        self.link = LinkState.SEARCHING
        self.trouble: RadioError | None = None
        self._target = target
        self._profile = profile
        self._central = central
        self._ear = ear
        self._teller = teller
        self._jitter = jitter
        self._timing = timing or Timing()
        self._heard_at = 0.0
        self._heard_anything = False

    async def run(self) -> None:
        """Keep the device connected until cancelled, or until it proves to be another device than configured."""
        failures = 0
        while True:
            self._heard_anything = False
            try:
                await self._one_connection()
            except RadioError as error:
                self.trouble = error
                if self.link is LinkState.CONNECTED:
                    self.link = LinkState.LOST
                    self._teller.lost(error.reason)
                failures = 1 if self._heard_anything else failures + 1
                decision = decide(error, failures, self._jitter.random())
                if isinstance(decision, GiveUp):
                    self.link = LinkState.LOST
                    self._teller.given_up(decision.reason)
                    return
                await asyncio.sleep(decision.seconds)

    async def _one_connection(self) -> None:
        """Raises the `RadioError` that ended it."""
        timing = self._timing
        found = await self._central.find(self._target, timeout_seconds=timing.find_seconds)
        lost = asyncio.Event()
        link = await self._central.connect(found, lost.set, timeout_seconds=timing.connect_seconds)
        try:
            self._ear.connected()
            streams = await self._subscribe_all(link)
            self.link, self.trouble = LinkState.CONNECTED, None
            self._teller.connected()
            await self._read_battery(link)
            await self._until_lost(lost, self._profile.silence_seconds if streams else None)
        finally:
            self._ear.disconnected()
            # The connection ends here on purpose; that it had ended already is no further news.
            with contextlib.suppress(RadioError):
                await link.disconnect(timeout_seconds=timing.disconnect_seconds)

    async def _subscribe_all(self, link: Link) -> bool:
        """Whether one of them streams, so that silence means something: an indication comes only now and then."""
        self._heard_at = asyncio.get_running_loop().time()
        offered = [wanted for wanted in self._profile.characteristics if link.offers(wanted.uuid)]
        missing = [wanted for wanted in self._profile.characteristics if wanted not in offered]
        for wanted in missing:
            if wanted.required or not offered:
                raise CharacteristicMissingError(wanted.uuid)
        for wanted in offered:
            await link.subscribe(
                wanted.uuid,
                functools.partial(self._hear, wanted.uuid),
                timeout_seconds=self._timing.call_seconds,
            )
        return any(wanted.transfer is Transfer.NOTIFY for wanted in offered)

    async def _read_battery(self, link: Link) -> None:
        """Where the device has a Battery Service. Trouble with it costs no reading; a lost link tells of itself."""
        with contextlib.suppress(RadioError, DecodeError):
            if link.offers(battery_service.LEVEL):
                payload = await link.read(battery_service.LEVEL, timeout_seconds=self._timing.call_seconds)
                self._ear.charged(battery_service.decode_level(payload))

    def _hear(self, characteristic: str, payload: bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._heard_anything = True
        self._ear.hear(payload, characteristic)

    async def _until_lost(self, lost: asyncio.Event, silence: float | None) -> None:
        if silence is None:
            await lost.wait()
            raise LinkLostError("the connection ended")
        loop = asyncio.get_running_loop()
        while loop.time() < self._heard_at + silence:
            try:
                async with asyncio.timeout_at(self._heard_at + silence):
                    await lost.wait()
            except TimeoutError:
                continue
            raise LinkLostError("the connection ended")
        raise LinkLostError(f"connected, but silent for {silence:g} s")
