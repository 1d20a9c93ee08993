"""One configured Bluetooth device, for ever: find it, connect, subscribe, listen, talk, and begin again when it goes.

A radio stack may say "connected" long after the device or the stack itself is gone, so a connection is believed only
while data comes: each profile names the silence after which the link is taken for dead.
"""

import asyncio
import contextlib
import functools
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from bedside_agent.radio.bond_care import BondCare, BondTeller
from bedside_agent.radio.central import (
    AccessRefusedError,
    Central,
    CharacteristicMissingError,
    Found,
    Link,
    LinkLostError,
    Pairing,
    RadioError,
    SlotYieldedError,
    Target,
)
from bedside_agent.radio.dialogue import Dialogue, LocalTime
from bedside_agent.radio.patience import GiveUp, decide
from bedside_agent.radio.slots import Slot, Slots
from bedside_profiles.bluetooth import battery_service
from bedside_profiles.conversation import ClockMeasured, Known
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import BleProfile, Transfer
from bedside_profiles.wire.status import LinkState


@dataclass(frozen=True, slots=True)
class Timing:
    """`find` is one round of the search; a device out of range costs nothing but such rounds.

    One whose turn for a slot comes after more than `stale_seconds` must be heard within `again_seconds` once more. One
    that only speaks after a measurement and was silent for `idle_seconds` makes room for another.
    """

    find_seconds: float = 60
    slot_seconds: float = 60
    stale_seconds: float = 3
    again_seconds: float = 12
    idle_seconds: float = 10
    connect_seconds: float = 20
    call_seconds: float = 10
    disconnect_seconds: float = 5
    pair_seconds: float = 45


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

    def remember(self, position: str) -> None:
        """What was heard up to here need not be asked for again, once it is kept."""
        ...


class Teller(BondTeller, Protocol):
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

    def done(self) -> None:
        """All was said and heard, and the link is ended."""
        ...

    def trouble(self, reason: str) -> None:
        """It does not do what it should."""
        ...

    def clock(self, measured: ClockMeasured) -> None:
        """How wrong its clock is."""
        ...


CLOCK_NEWS_SECONDS = 2.0
"""A clock that is measured at every connection is told again when it differs by so much from what was told."""


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
        known: Callable[[], Known] = Known,
        local_time: LocalTime = lambda: None,
        slots: Slots | None = None,
        pairing: Pairing | None = None,
    ) -> None:
        """`known` is asked at each connection; `local_time` is None as long as the hub does not know the time."""
        self.link = LinkState.SEARCHING
        self.last_error: RadioError | None = None
        self._target = target
        self._profile = profile
        self._central = central
        self._ear = ear
        self._teller = teller
        self._jitter = jitter
        self._timing = timing or Timing()
        self._known = known
        self._local_time = local_time
        self._bond = BondCare(
            central,
            pairing or Pairing(),
            teller,
            call_seconds=self._timing.call_seconds,
            pair_seconds=self._timing.pair_seconds,
        )
        self._heard_at = 0.0
        self._heard_anything = False
        self._place = (slots or Slots(1)).place(streams=profile.silence_seconds is not None)
        self._is_told = False
        self._dialogue: Dialogue | None = None
        self._told_trouble: str | None = None
        self._has_trouble = False
        self._told_clock: ClockMeasured | None = None
        self._news: asyncio.Event | None = None

    async def run(self) -> None:
        """Keep the device connected until cancelled, or until it proves to be another device than configured."""
        failures = 0
        while True:
            self._heard_anything = self._has_trouble = False
            try:
                pause_seconds = await self._one_connection()
                failures = 0
                self.link = LinkState.SEARCHING
                self._is_told = False
                self._teller.done()
                await asyncio.sleep(pause_seconds)
            except RadioError as error:
                self.last_error = error
                self._tell_end(error)
                failures = 1 if self._heard_anything else failures + 1
                decision = decide(error, failures, self._jitter.random())
                if isinstance(decision, GiveUp):
                    self.link = LinkState.LOST
                    self._teller.given_up(decision.reason)
                    return
                await asyncio.sleep(decision.seconds)

    def pair_anew(self) -> None:
        """Forget the hub's half of a bond, at once if it is connected, and make another with the device."""
        self._bond.is_wanted_anew = True
        if self._news is not None:
            self._news.set()

    def _tell_end(self, error: RadioError) -> None:
        if self.link is not LinkState.CONNECTED:
            return
        if isinstance(error, SlotYieldedError):
            # No loss: it had said everything, and is looked for again.
            self.link = LinkState.SEARCHING
            return
        self.link = LinkState.LOST
        self._is_told = False
        self._teller.lost(error.reason)

    async def _one_connection(self) -> float:
        """For how long the device is left alone, after all was said; raises the `RadioError` that ended it else."""
        timing, news = self._timing, asyncio.Event()
        found = await self._find(timing.find_seconds)
        asked_at = asyncio.get_running_loop().time()
        before = self.link
        self.link = LinkState.WAITING_FOR_SLOT
        async with self._place.slot(found.adapter, news.set, timing.slot_seconds) as slot:
            self.link = before
            if asyncio.get_running_loop().time() > asked_at + timing.stale_seconds:
                found = await self._find(timing.again_seconds)
            if await self._bond.forget_if_wanted(found):
                found = await self._find(timing.find_seconds)
            self._news = news
            try:
                return await self._one_link(found, slot, news)
            except RadioError as error:
                if await self._bond.look_after(error, found):
                    self.link = LinkState.REPAIR_NEEDED
                raise

    async def _find(self, seconds: float) -> Found:
        try:
            return await self._central.find(self._target, timeout_seconds=seconds)
        except RadioError:
            if self.link is LinkState.WAITING_FOR_SLOT:
                self.link = LinkState.SEARCHING
            raise

    async def _one_link(self, found: Found, slot: Slot, news: asyncio.Event) -> float:
        timing, lost = self._timing, asyncio.Event()

        def on_lost() -> None:
            lost.set()
            news.set()

        await self._bond.connecting(found)
        link = await self._central.connect(
            found, on_lost, timeout_seconds=timing.connect_seconds, pairing=self._bond.pairing
        )
        try:
            self._ear.connected()
            self._dialogue = self._dialogue_on(link)
            await self._read_first(link)
            streams = await self._subscribe_all(link)
            await self._bond.connected(link)
            self.link, self.last_error = LinkState.CONNECTED, None
            if not self._is_told:
                self._is_told = True
                self._teller.connected()
            over = self._until_over(lost, news, slot, self._profile.silence_seconds if streams else None)
            return await self._listen_and_talk(link, over)
        except LinkLostError:
            if self._dialogue is None or self._dialogue.pause_when_lost_seconds is None:
                raise
            return self._dialogue.pause_when_lost_seconds
        finally:
            self._dialogue = None
            self._ear.disconnected()
            if not self._has_trouble:
                self._told_trouble = None
            await self._bond.look_for_a_new_one(link)
            # The connection ends here on purpose; that it had ended already is no further news.
            with contextlib.suppress(RadioError):
                await link.disconnect(timeout_seconds=timing.disconnect_seconds)

    def _dialogue_on(self, link: Link) -> Dialogue | None:
        profile = self._profile
        if profile.converse is None:
            return None
        return Dialogue(
            profile.converse(self._known()),
            link,
            self,
            self._local_time,
            own=(*profile.commands, *(one.uuid for one in profile.characteristics)),
            call_seconds=self._timing.call_seconds,
            permitted=functools.partial(self._bond.permitted, link=link),
        )

    async def _listen_and_talk(self, link: Link, until_over: Coroutine[Any, Any, None]) -> float:
        listening = asyncio.create_task(until_over)
        talking = asyncio.create_task(self._talk(link))
        try:
            await asyncio.wait({listening, talking}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done() and talking.result() is None:
                await listening
            if listening.done():
                # Of a link that ended, this is the reason; a call that ended with it has none of its own.
                listening.result()
            pause_seconds = talking.result()
            assert pause_seconds is not None  # noqa: S101 - else it listens until the link is lost
            return pause_seconds
        finally:
            for task in (listening, talking):
                task.cancel()
            await asyncio.wait({listening, talking})
            # Only one of two errors comes out of here; the other is looked at, so that nobody misses it.
            for task in (listening, talking):
                if not task.cancelled():
                    task.exception()

    async def _talk(self, link: Link) -> float | None:
        """What the profile's conversation wants, and the battery; the pause when all was said."""
        if self._dialogue is None:
            await self._read_battery(link)
            return None
        return await self._dialogue.run(functools.partial(self._read_battery, link))

    async def _read_first(self, link: Link) -> None:
        """What the listener needs to understand the rest. A device without it is understood as far as it goes."""
        for characteristic in self._profile.reads_first:
            with contextlib.suppress(AccessRefusedError, CharacteristicMissingError):
                if link.offers(characteristic):
                    payload = await link.read(characteristic, timeout_seconds=self._timing.call_seconds)
                    self._ear.hear(payload, characteristic)

    async def _subscribe_all(self, link: Link) -> bool:
        """Whether one of them streams, so that silence means something: an indication comes only now and then."""
        self._heard_at = asyncio.get_running_loop().time()
        offered = [wanted for wanted in self._profile.characteristics if link.offers(wanted.uuid)]
        missing = [wanted for wanted in self._profile.characteristics if wanted not in offered]
        for wanted in missing:
            if wanted.required or not offered:
                raise CharacteristicMissingError(wanted.uuid)
        for wanted in offered:
            subscribing = functools.partial(
                link.subscribe,
                wanted.uuid,
                functools.partial(self._hear, wanted.uuid),
                timeout_seconds=self._timing.call_seconds,
            )
            await self._bond.permitted(subscribing, link)
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
        self._place.heard()
        self._ear.hear(payload, characteristic)
        if self._dialogue is not None:
            self._dialogue.hear(characteristic, payload)

    # What the dialogue finds out ---------------------------------------------------------------------------------

    def remember(self, position: str) -> None:
        """See `dialogue.Hearer`."""
        self._ear.remember(position)

    def trouble(self, reason: str) -> None:
        """See `dialogue.Hearer`; the same trouble is told once, until a connection went well."""
        self._has_trouble = True
        if reason != self._told_trouble:
            self._told_trouble = reason
            self._teller.trouble(reason)

    def clock_measured(self, measured: ClockMeasured) -> None:
        """See `dialogue.Hearer`; told when it is news."""
        if self._told_clock is None or _differ(measured, self._told_clock):
            self._teller.clock(measured)
            # A clock that was set is expected to be right next time.
            self._told_clock = ClockMeasured(0.0, is_set=True) if measured.is_set else measured

    async def _until_over(self, lost: asyncio.Event, news: asyncio.Event, slot: Slot, silence: float | None) -> None:
        loop = asyncio.get_running_loop()
        while not lost.is_set():
            news.clear()
            idle_until = self._heard_at + self._timing.idle_seconds if slot.is_wanted and not slot.streams else None
            silent_until = self._heard_at + silence if silence is not None else None
            if self._bond.is_wanted_anew:
                raise LinkLostError("it is to be paired anew")
            if idle_until is not None and loop.time() >= idle_until:
                raise SlotYieldedError("it had nothing more to say, and another device waited for its slot")
            if silence is not None and silent_until is not None and loop.time() >= silent_until:
                raise LinkLostError(f"connected, but silent for {silence:g} s")
            limits = [limit for limit in (idle_until, silent_until) if limit is not None]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(limits, default=None)):
                    await news.wait()
        raise LinkLostError("the connection ended")


def _differ(one: ClockMeasured, other: ClockMeasured) -> bool:
    if one.offset_seconds is None or other.offset_seconds is None:
        return one.offset_seconds is not other.offset_seconds
    return abs(one.offset_seconds - other.offset_seconds) >= CLOCK_NEWS_SECONDS
