"""All configured devices: one session, one collector and one task pair each. One device's trouble is its own."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bedside_agent.clock import Clock
from bedside_agent.collect.adverts import Adverts
from bedside_agent.collect.collector import Collector
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind, Report
from bedside_agent.collect.sink import Sink
from bedside_agent.radio.advert_session import AdvertSession
from bedside_agent.radio.central import Central, Target
from bedside_agent.radio.dialogue import LocalTime
from bedside_agent.radio.session import RadioSession
from bedside_agent.radio.slots import Slots
from bedside_agent.serial.port import PortOpener
from bedside_agent.serial.session import SerialSession
from bedside_profiles.catalogue import profile_named
from bedside_profiles.conversation import ClockMeasured, Moment
from bedside_profiles.errors import BedsideError
from bedside_profiles.profile import AdvertProfile, BleProfile, SerialProfile
from bedside_profiles.wire.status import DeviceStatus, LinkState

DRAIN_SECONDS = 5.0
"""How long a stopping station waits for the sink to take what was heard. A stuck disk must not stop the stop."""


CONNECTION_SLOTS = 5
"""What BlueZ's adapters were found to hold without dropping links."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How one device stands. `trouble` is what its session last ended with, None while it is well; frames are counted
    since the start."""

    profile: BleProfile | SerialProfile | AdvertProfile
    link: LinkState
    trouble: BedsideError | None
    without_reading: int
    refused: int


class _Session(Protocol):
    @property
    def link(self) -> LinkState: ...

    @property
    def last_error(self) -> BedsideError | None: ...

    async def run(self) -> None: ...


class Station:
    """Reads all `entries`, each without `problems()`, until it is cancelled.

    `central` may be None when no entry is a Bluetooth device. `jitter` spreads the devices' attempts, and no adapter is
    connected with more than `connection_slots` devices. `local_time` is what devices' clocks are held against. Errors
    of the sink and faults of the program come out of `run`; errors of devices, radio and lines never do.
    """

    def __init__(
        self,
        entries: Sequence[DeviceEntry],
        *,
        central: Central | None,
        open_port: PortOpener,
        sink: Sink,
        clock: Clock,
        report: Report,
        jitter: random.Random,
        local_time: LocalTime = lambda: None,
        connection_slots: int = CONNECTION_SLOTS,
    ) -> None:
        self._central = central
        self._open_port = open_port
        self._sink = sink
        self._clock = clock
        self._report = report
        self._jitter = jitter
        self._local_time = local_time
        self._slots = Slots(connection_slots)
        self._devices = [self._device(entry) for entry in entries]
        self._groups: tuple[asyncio.TaskGroup, asyncio.TaskGroup] | None = None

    async def run(self) -> None:
        """Read all devices until cancelled; then disconnect them and let the sink take what was heard."""
        async with asyncio.TaskGroup() as collecting:
            try:
                async with asyncio.TaskGroup() as sessions:
                    self._groups = (collecting, sessions)
                    for device in self._devices:
                        device.start(*self._groups)
                    # No devices, or all given up: still running.
                    await asyncio.Event().wait()
            finally:
                self._groups = None
                await self._drain(self._devices)
                for device in self._devices:
                    device.end_collecting()

    async def change(self, entries: Sequence[DeviceEntry]) -> None:
        """Read these devices from now on; one whose entry stays the same is not disturbed.

        Returns once the sink has what those that go have said.
        """
        wanted = {entry.device_id: entry for entry in entries}
        going = [device for device in self._devices if wanted.get(device.entry.device_id) != device.entry]
        staying = [device for device in self._devices if device not in going]
        there = {device.entry.device_id for device in staying}
        coming = [self._device(entry) for entry in entries if entry.device_id not in there]
        self._devices = [*staying, *coming]
        for device in going:
            await device.end_session()
        await self._drain(going)
        for device in going:
            device.end_collecting()
        if self._groups is not None:
            for device in coming:
                device.start(*self._groups)

    def look_at(self, device_id: str) -> Seen | None:
        """How this device stands; None when it is not read."""
        for device in self._devices:
            if device.entry.device_id == device_id:
                counts, session = device.collector.counts, device.session
                return Seen(device.profile, session.link, session.last_error, counts.without_reading, counts.refused)
        return None

    def pair_anew(self, device_id: str) -> bool:
        """Have a Bluetooth device paired anew; False for one that is not connected by Bluetooth."""
        for device in self._devices:
            if device.entry.device_id == device_id and isinstance(device.session, RadioSession):
                device.session.pair_anew()
                return True
        return False

    def _device(self, entry: DeviceEntry) -> "_Device":
        profile = profile_named(entry.profile)
        if entry.problems() or profile is None:
            raise ValueError("; ".join(entry.problems()))
        heard_as = (
            Adverts(profile, entry.address or "", None if entry.bind_key is None else bytes.fromhex(entry.bind_key))
            if isinstance(profile, AdvertProfile)
            else profile
        )
        collector = Collector(entry.device_id, heard_as, self._sink, self._clock, self._report)
        return _Device(entry, profile, collector, self._session(entry, profile, collector))

    def _session(
        self, entry: DeviceEntry, profile: BleProfile | SerialProfile | AdvertProfile, collector: Collector
    ) -> "_Session":
        teller = _Teller(entry.device_id, self._clock, self._report, self._sink)
        if isinstance(profile, SerialProfile):
            return SerialSession(
                entry.place(),
                profile,
                self._open_port,
                collector,
                teller,
                moment=self._moment,
                jitter=self._jitter,
            )
        if self._central is None:
            raise ValueError(f"device {entry.device_id}: a Bluetooth device needs a radio")
        if isinstance(profile, AdvertProfile):
            assert entry.address is not None  # noqa: S101 - `problems` asks for it
            return AdvertSession(profile, entry.address, self._central, collector, teller, jitter=self._jitter)
        target = Target(profile.service_uuid, entry.address, entry.advertised_name)
        return RadioSession(
            target,
            profile,
            self._central,
            collector,
            teller,
            jitter=self._jitter,
            known=lambda: entry.known(self._sink.position(entry.device_id)),
            local_time=self._local_time,
            slots=self._slots,
            pairing=entry.radio_pairing(),
        )

    def _moment(self) -> Moment:
        return Moment(asyncio.get_running_loop().time(), self._local_time())

    async def _drain(self, devices: Sequence["_Device"]) -> None:
        """Let the sink take what was heard; a collector that has ended (its sink failed) has nobody to wait for."""
        draining = [asyncio.create_task(device.collector.drain()) for device in devices if device.is_collecting]
        if draining:
            _, undrained = await asyncio.wait(draining, timeout=DRAIN_SECONDS)
            for drain in undrained:
                drain.cancel()
        for device in devices:
            if device.collector.waiting:
                fields = {"count": str(device.collector.waiting)}
                self._report(Notice(device.entry.device_id, NoticeKind.READINGS_DROPPED, self._clock.now(), fields))

    def statuses(self) -> tuple[DeviceStatus, ...]:
        """Each device's link and newest reading, for the hub's status message and its pages."""
        return tuple(
            [
                DeviceStatus(
                    device_id=device.entry.device_id,
                    profile=device.entry.profile,
                    link=device.session.link,
                    last_reading_ms=None if (heard := device.collector.last_heard) is None else heard.utc_ms,
                    battery_percent=device.collector.battery_percent,
                )
                for device in self._devices
            ]
        )


class _Device:
    """One device and its two tasks, while the station runs."""

    def __init__(
        self,
        entry: DeviceEntry,
        profile: BleProfile | SerialProfile | AdvertProfile,
        collector: Collector,
        session: _Session,
    ) -> None:
        self.entry = entry
        self.profile = profile
        self.collector = collector
        self.session = session
        self._collecting: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_collecting(self) -> bool:
        """Whether what was heard is still handed to the sink."""
        return self._collecting is not None and not self._collecting.done()

    def start(self, collecting: asyncio.TaskGroup, sessions: asyncio.TaskGroup) -> None:
        """Read it from now on."""
        self._collecting = collecting.create_task(self.collector.run())
        self._reading = sessions.create_task(self.session.run())

    async def end_session(self) -> None:
        """Disconnect it."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    def end_collecting(self) -> None:
        """Hand nothing more to the sink."""
        if self._collecting is not None:
            self._collecting.cancel()


class _Teller:
    """Tells the station's listener about one device's link, and the sink how wrong its clock is."""

    def __init__(self, device_id: str, clock: Clock, report: Report, sink: Sink) -> None:
        self._device_id = device_id
        self._clock = clock
        self._report = report
        self._sink = sink

    def connected(self) -> None:
        self._say(NoticeKind.DEVICE_CONNECTED)

    def lost(self, reason: str) -> None:
        self._say(NoticeKind.DEVICE_LOST, reason)

    def given_up(self, reason: str) -> None:
        self._say(NoticeKind.DEVICE_GIVEN_UP, reason)

    def done(self) -> None:
        self._say(NoticeKind.DEVICE_DONE)

    def trouble(self, reason: str) -> None:
        self._say(NoticeKind.DEVICE_TROUBLE, reason)

    def clock(self, measured: ClockMeasured) -> None:
        offset = measured.offset_seconds
        fields = {
            "offset_seconds": "unknown" if offset is None else f"{offset:.0f}",
            "set": "yes" if measured.is_set else "no",
        }
        now = self._clock.now()
        self._sink.clock_measured(self._device_id, measured, now)
        self._report(Notice(self._device_id, NoticeKind.DEVICE_CLOCK, now, fields))

    def paired(self) -> None:
        self._say(NoticeKind.DEVICE_PAIRED)

    def repair_needed(self, reason: str) -> None:
        self._say(NoticeKind.REPAIR_NEEDED, reason)

    def _say(self, kind: NoticeKind, reason: str = "") -> None:
        fields = {"reason": reason} if reason else {}
        self._report(Notice(self._device_id, kind, self._clock.now(), fields))
