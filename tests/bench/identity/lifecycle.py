"""A year of a fleet's certificates in minutes: enrolled, renewed, revoked, enrolled again, and the authority replaced.

The clock of identity (twice) is the simulated one; twenty hubs of today stay connected meanwhile and speak every half
second, through broker and ingest. Counted: events that failed, hubs that were cut without cause, and the longest time
from a reading to its receipt. The yardstick is the same before the year begins.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.figures import Figure, percentile
from tests.bench.identity.fleet import Door, SmallHub, claim_for, enrolled, leaf_of, request_of
from tests.support.clock import NOON_MS
from tests.support.engines import running_engines, service_process
from tests.support.nats import TestBroker
from tests.support.readings import reading
from tests.support.services import running_service

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity import (
    EST_ENROL,
    EST_REENROL,
    CertificatesOnly,
    EnrolRequest,
    ReenrolRequest,
)
from bedside_cloud.contracts.identity_administration import (
    HUB_ACCESS_SET,
    Access,
    HubAccessAnswer,
    HubAccessRequest,
)
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import Certificate
from bedside_cloud.identity import run as identity
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import DownLane, UpLane, subject

EVENTS, LONG_EVENTS = 600, 15_000
ROTATIONS = 4
FLEET = 200
SPEAKING, SPEAK_SECONDS = 20, 0.5
YEAR = timedelta(days=365)
REPLICAS = ("identity-1", "identity-2")


async def measure(*, long: bool) -> list[Figure]:
    """Failures, hubs cut, and the delay of readings."""
    events = LONG_EVENTS if long else EVENTS
    clock = SimulatedClock()
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as place, running_engines(Path(place)) as broker:
        async with AsyncExitStack() as stack:
            replicas = Replicas(broker)
            stack.push_async_callback(replicas.stop)
            with clock.patched():
                await replicas.start()
                for service in ("registry", "ingest"):
                    await stack.enter_async_context(service_process(broker, service, service))
                users = [
                    await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
                    for user in ("operator", "gateway", broker.hub_player)
                ]
                door, hubs = Door(broker, users[0], users[1]), users[2]
                speaking = [await enrolled(door, f"today-{number}", Path(place)) for number in range(SPEAKING)]
                for hub in speaking:
                    stack.callback(hub.close)
                    assert await hub.connect()
                speech = Speech(hubs, speaking)
                await speech.listen()
                calm = await speech.during(asyncio.sleep(5))
                year = Year(door, clock, replicas, events)
                began = time.perf_counter()
                delays = await speech.during(year.run())
                seconds = time.perf_counter() - began
    worst, before = max(delays), max(calm)
    return [
        Figure("lifecycle_events", year.done, "1"),
        Figure("failures", len(year.failures), "1"),
        Figure("events_a_second", round(events / seconds, 1), "1/s"),
        Figure("unrevoked_hubs_cut", sum(hub.ended.is_set() for hub in speaking), "1"),
        Figure("readings_unanswered", len(speech.waiting), "1"),
        Figure("reading_delay_worst_s", round(worst, 3), "s", "the worst before the year", round(worst / before, 2)),
        Figure("reading_delay_p99_s", round(percentile(delays, 99), 3), "s"),
    ]


class SimulatedClock:
    """What identity takes for the time: today until the year begins, which ends today."""

    def __init__(self) -> None:
        self.behind = timedelta()

    @contextmanager
    def patched(self) -> Iterator[None]:
        """While the block runs."""
        real = identity.utc_now
        identity.utc_now = lambda: datetime.now(UTC) - self.behind
        try:
            yield
        finally:
            identity.utc_now = real


class Replicas:
    """Identity twice, in this process, so that both see the simulated clock."""

    def __init__(self, broker: TestBroker) -> None:
        self.broker = broker
        self._running: dict[str, AsyncExitStack] = {}

    async def start(self) -> None:
        """Both."""
        for name in REPLICAS:
            await self._start(name)

    async def restart(self) -> None:
        """One after the other: a hub that comes is always answered."""
        for name in REPLICAS:
            await self._running.pop(name).aclose()
            await self._start(name)

    async def stop(self) -> None:
        """Both."""
        for stack in self._running.values():
            await stack.aclose()

    async def _start(self, name: str) -> None:
        stack = AsyncExitStack()
        settings = self.broker.state.service_settings("identity", name)
        await stack.enter_async_context(running_service(identity.main, settings))
        self._running[name] = stack


class Speech:
    """Each hub says one reading after the other."""

    def __init__(self, bus: Bus, hubs: list[SmallHub]) -> None:
        self.waiting: dict[tuple[str, int], float] = {}
        self._bus = bus
        self._hubs = hubs
        self._seq = 0
        self._delays: list[float] = []

    async def listen(self) -> None:
        """Hear the receipts."""

        async def on_receipt(_subject: str, body: bytes) -> None:
            receipt, now = decode(Receipt, body), time.perf_counter()
            for first, last in receipt.stored:
                for seq in range(first, last + 1):
                    began = self.waiting.pop((receipt.hub_id, seq), None)
                    if began is not None:
                        self._delays.append(now - began)

        await self._bus.subscribe(subject("*", DownLane.RECEIPTS), on_receipt)

    async def during(self, work: Awaitable[None]) -> list[float]:
        """Speak until the work is done; the seconds from each reading to its receipt."""
        self._delays = []
        speaking = asyncio.create_task(self._speak())
        try:
            await work
        finally:
            speaking.cancel()
        for _ in range(100):
            if not self.waiting:
                break
            await asyncio.sleep(0.1)
        return self._delays

    async def _speak(self) -> None:
        while True:
            self._seq += 1
            for hub in self._hubs:
                one = reading(97.0, seq=self._seq, device_id=f"device-{hub.hub_id}", taken_at_ms=NOON_MS)
                header = header_for(hub.hub_id, "0" * 31 + "1", UpLane.READINGS, [one.seq])
                self.waiting[hub.hub_id, one.seq] = time.perf_counter()
                body = encode_batch(Batch(header, (one,)))
                await self._bus.publish_bytes(subject(hub.hub_id, UpLane.READINGS), body)
            await asyncio.sleep(SPEAK_SECONDS)


@dataclass(slots=True)
class Year:
    """Runs the events, in an order that the seed chooses."""

    door: Door
    clock: SimulatedClock
    replicas: Replicas
    events: int
    done: int = 0
    failures: list[str] = field(default_factory=list)
    _certificates: dict[str, Certificate] = field(default_factory=dict)

    async def run(self) -> None:
        """From a year ago until today."""
        dice = random.Random(11)
        rotations = {self.events * number // (ROTATIONS + 1) for number in range(1, ROTATIONS + 1)}
        for number in range(self.events):
            self.clock.behind = YEAR * (1 - number / self.events)
            hub_id = f"hub-{dice.randrange(FLEET)}"
            try:
                if number in rotations:
                    await self._rotate()
                elif hub_id not in self._certificates:
                    await self._enrol(hub_id)
                elif dice.random() < 0.05:
                    await self._revoke(hub_id)
                else:
                    await self._renew(hub_id)
                self.done += 1
            except (RefusedError, TimeoutError, StopIteration) as cause:
                self.failures.append(f"{hub_id}: {cause}")

    async def _enrol(self, hub_id: str) -> None:
        key = authority.new_key()
        question = EnrolRequest(
            hub_id=hub_id, claim=await claim_for(self.door, hub_id), csr_der=request_of(hub_id, key)
        )
        answer = await self.door.gateway.request(EST_ENROL, question, CertificatesOnly)
        self._certificates[hub_id] = leaf_of(answer.pkcs7_der, hub_id)

    async def _renew(self, hub_id: str) -> None:
        shown = authority.certificate_der(self._certificates[hub_id])
        question = ReenrolRequest(certificate_der=shown, csr_der=request_of(hub_id, authority.new_key()))
        answer = await self.door.gateway.request(EST_REENROL, question, CertificatesOnly)
        self._certificates[hub_id] = leaf_of(answer.pkcs7_der, hub_id)

    async def _revoke(self, hub_id: str) -> None:
        request = HubAccessRequest(hub_id=hub_id, access=Access.REVOKED)
        await self.door.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
        shown = authority.certificate_der(self._certificates.pop(hub_id))
        question = ReenrolRequest(certificate_der=shown, csr_der=request_of(hub_id, authority.new_key()))
        try:
            await self.door.gateway.request(EST_REENROL, question, CertificatesOnly)
        except RefusedError:
            return
        self.failures.append(f"{hub_id} renewed although it is revoked")

    async def _rotate(self) -> None:
        state = self.door.broker.state
        state.certificates.rotate(
            state.root_passphrase.reveal(), state.issuing_passphrase.reveal(), datetime.now(UTC) - self.clock.behind
        )
        await self.replicas.restart()
