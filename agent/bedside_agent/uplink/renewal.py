"""The hub's certificate is renewed before it ends: another key, a proof that it is let in with it, then the exchange.

Until the proof nothing of the present certificate is touched: a hub whose renewal fails goes on with what it has, and
tries again for as long as that is in force, and after it.
"""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from bedside_agent import trust
from bedside_agent.clock import Clock
from bedside_agent.computer import serial_number
from bedside_agent.errors import EnrolmentError, IdentityError
from bedside_agent.uplink import est
from bedside_agent.uplink.connection import ConnectionFailedError, connected
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.route import Route
from bedside_profiles.readings import ClockQuality

log = logging.getLogger(__name__)

PROOF_SUFFIX = "~renewal"
"""The client id under which a new certificate is proven: under its own the hub would cut its present connection."""

SPREAD = 1 / 24
"""Of a certificate's life: hubs that enrolled together do not renew together."""

LOOK_SECONDS, REST_SECONDS = 60.0, 3600.0
"""Between two looks; and after a renewal, whatever a clock then says that is wrong."""

MOST_PROOFS = 3
"""After so many failed proofs a certificate is thrown away, and another asked for."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 6 * 3600.0


def due_ms(begin_ms: int, end_ms: int, jitter: float) -> int:
    """When to renew what is in force from `begin_ms` to `end_ms` (UTC): at two thirds of its life, or soon after."""
    return begin_ms + round((end_ms - begin_ms) * (2 / 3 + SPREAD * jitter))


def pause_seconds(failures: int, jitter: float) -> float:
    """How long to wait after so many failures in a row, at least 1."""
    step: float = min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)
    return step * (0.5 + 0.5 * jitter)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the hub renews, and where it proves: as whom, at which enrolment server, and at which broker."""

    hub_id: str
    est_url: str
    route: Route


class Renewal:
    """Run it as one task. `lost_attempts` says how often in a row the broker was not reached.

    `renewed` is called once another certificate is in use; `failing` with the reason while none comes and the present
    one is due, and with None when all is well again.
    """

    def __init__(
        self,
        place: Place,
        identity: Identity,
        clock: Clock,
        jitter: random.Random,
        floor_ms: Callable[[], int | None],
        lost_attempts: Callable[[], int],
        renewed: Callable[[], None],
        failing: Callable[[str | None], None],
    ) -> None:
        self._place = place
        self._identity = identity
        self._clock = clock
        self._jitter = jitter
        self._floor_ms = floor_ms
        self._lost_attempts = lost_attempts
        self._renewed = renewed
        self._failing = failing
        self._spread = jitter.random()
        self._failed_proofs = 0
        self._in_turn = asyncio.Lock()

    async def run(self) -> None:
        """Look every minute, and renew when it is due, until cancelled."""
        failures = 0
        while True:
            pause = LOOK_SECONDS
            if self.is_due():
                try:
                    await self.renew_now()
                    failures, pause = 0, REST_SECONDS
                    self._failing(None)
                except (EnrolmentError, IdentityError, ConnectionFailedError, OSError) as error:
                    failures += 1
                    pause = pause_seconds(failures, self._jitter.random())
                    log.warning("renewal.failed", extra={"reason": str(error)})
                    if self._is_known_due() or (isinstance(error, EnrolmentError) and not error.retry):
                        self._failing(str(error))
            await asyncio.sleep(pause)

    def is_due(self) -> bool:
        """Whether to ask for another certificate now.

        A hub that does not know the time and is not let in asks too: its certificate may have ended, and a broker that
        refuses one for that does not say why.
        """
        is_lost = self._clock.now().quality is not ClockQuality.SYNCED and self._lost_attempts() > 0
        return self._identity.is_enrolled() and (is_lost or self._is_known_due())

    def _is_known_due(self) -> bool:
        now = self._clock.now()
        known_ms = now.utc_ms if now.quality is ClockQuality.SYNCED else self._floor_ms() or 0
        return known_ms >= due_ms(*self._identity.validity_ms(), self._spread)

    async def renew_now(self) -> None:
        """Renew, due or not, after a renewal that is under way."""
        async with self._in_turn:
            await self.renew()

    async def renew(self) -> None:
        """One renewal, from the key to the exchange. What it raises leaves the present certificate in use.

        An answer that was kept and not proven is proven now: no other is asked for.
        """
        following = self._identity.following()
        if not following.is_enrolled():
            await asyncio.to_thread(self._certify, following)
        await self._prove(following)
        await asyncio.to_thread(self._identity.adopt, following)
        log.info("renewal.done")
        self._renewed()

    def _certify(self, following: Identity) -> None:
        if not self._place.est_url:
            raise EnrolmentError(
                "the hub does not know where to renew its certificate",
                fix="write est_url into hub.toml, or enrol anew: " + est.NEW_CLAIM,
                retry=False,
            )
        root = self._identity.root_der()
        key = following.key_pem()
        request = trust.certificate_request(key, self._place.hub_id, serial_number())
        context = self._identity.tls_context(self._floor_ms())
        issued = est.certify(self._place.est_url, context, "simplereenroll", request)
        certificate, issuers = est.check_issued(self._place.hub_id, key, root, (), issued)
        following.keep(certificate, issuers, root)

    async def _prove(self, following: Identity) -> None:
        """Let in with the new certificate, or `ConnectionFailedError`; one that never is, is thrown away."""
        tls: ssl.SSLContext = await asyncio.to_thread(following.tls_context, self._floor_ms())
        try:
            async with connected(self._place.route, tls, self._place.hub_id + PROOF_SUFFIX, will=None, subscribe=()):
                pass
        except ConnectionFailedError as error:
            self._failed_proofs += 1
            if error.refused or self._failed_proofs >= MOST_PROOFS:
                self._failed_proofs = 0
                with contextlib.suppress(OSError):
                    following.certificate.unlink()
            raise
        self._failed_proofs = 0
