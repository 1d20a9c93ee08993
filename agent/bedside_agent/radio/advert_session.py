"""One device that only advertises, for ever: hear it, and nothing else. Nobody connects to it."""

import asyncio
import random

from bedside_agent.radio.central import Central, Found, RadioError
from bedside_agent.radio.patience import Wait, decide
from bedside_agent.radio.session import Ear, Teller
from bedside_profiles.profile import AdvertProfile
from bedside_profiles.wire.status import LinkState

LISTEN_SECONDS = 60.0
"""One round. Who was not heard for so long sleeps, or is away: a scale does so most of the day, and that is no news."""

REPEAT_SECONDS = 1.0
"""What is said in the same words within a second is heard once: straps advertise several times in it."""


class AdvertSession:
    """Run it as one task. `link` is what the hub's status says: connected while the device is heard."""

    def __init__(
        self,
        profile: AdvertProfile,
        address: str,
        central: Central,
        ear: Ear,
        teller: Teller,
        *,
        jitter: random.Random,
    ) -> None:
        self.link = LinkState.SEARCHING
        self.last_error: RadioError | None = None
        self._profile = profile
        self._address = address.upper()
        self._central = central
        self._ear = ear
        self._teller = teller
        self._jitter = jitter
        self._heard_at = float("-inf")
        self._payload = b""

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                await self._central.listen(self._hear, seconds=LISTEN_SECONDS)
                failures, self.last_error = 0, None
            except RadioError as error:
                self.last_error = error
                failures += 1
                if self.link is LinkState.CONNECTED:
                    self._teller.lost(error.reason)
                self.link = LinkState.SEARCHING
                decision = decide(error, failures, self._jitter.random())
                await asyncio.sleep(decision.seconds if isinstance(decision, Wait) else LISTEN_SECONDS)
            if asyncio.get_running_loop().time() - self._heard_at >= LISTEN_SECONDS:
                self.link = LinkState.SEARCHING

    def _hear(self, found: Found) -> None:
        if found.address.upper() != self._address:
            return
        payload = advertised(self._profile, found)
        if payload is None:
            return
        now = asyncio.get_running_loop().time()
        if payload == self._payload and now - self._heard_at < REPEAT_SECONDS:
            return
        self._payload, self._heard_at = payload, now
        if self.link is not LinkState.CONNECTED:
            self.link = LinkState.CONNECTED
            self._teller.connected()
        self._ear.hear(payload, "")


def advertised(profile: AdvertProfile, found: Found) -> bytes | None:
    """What this advertisement says in the profile's words; None when nothing."""
    if profile.service_uuid is not None:
        return found.service_data.get(profile.service_uuid)
    return found.company_data.get(profile.company) if profile.company is not None else None
