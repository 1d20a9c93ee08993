"""All configured devices: one session, one collector and one task pair each. One device's trouble is its own."""

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

from bedside_agent.clock import Clock
from bedside_agent.collect.collector import Collector
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind, Report
from bedside_agent.collect.sink import Sink
from bedside_agent.radio.central import Central, Target
from bedside_agent.radio.session import RadioSession
from bedside_agent.serial.port import PortOpener
from bedside_agent.serial.session import SerialSession
from bedside_profiles.catalogue import profile_named
from bedside_profiles.profile import BleProfile
from bedside_profiles.wire.status import DeviceStatus, LinkState

DRAIN_SECONDS = 5.0
"""How long a stopping station waits for the sink to take what was heard. A stuck disk must not stop the stop."""


class _Session(Protocol):
    @property
    def link(self) -> LinkState: ...

    async def run(self) -> None: ...


class Station:
    """Reads all `entries`, each without `problems()`, until it is cancelled.

    `central` may be None when no entry is a Bluetooth device. `jitter` spreads the devices' attempts. Errors of the
    sink and faults of the program come out of `run`; errors of devices, radio and lines never do.
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
    ) -> None:
        self._clock = clock
        self._report = report
        self._devices: list[tuple[DeviceEntry, Collector, _Session]] = []
        for entry in entries:
            profile = profile_named(entry.profile)
            if entry.problems() or profile is None:
                raise ValueError("; ".join(entry.problems()))
            collector = Collector(entry.device_id, profile, sink, clock, report)
            session: _Session
            if isinstance(profile, BleProfile):
                if central is None:
                    raise ValueError(f"device {entry.device_id}: a Bluetooth device needs a radio")
                target = Target(profile.service_uuid, entry.address, entry.advertised_name)
                session = RadioSession(
                    target, profile, central, collector, self._teller(entry.device_id), jitter=jitter
                )
            else:
                assert entry.port is not None  # noqa: S101 - `problems` asks for it
                session = SerialSession(
                    entry.port, profile, open_port, collector, self._teller(entry.device_id), jitter=jitter
                )
            self._devices.append((entry, collector, session))

    async def run(self) -> None:
        """Read all devices until cancelled; then disconnect them and let the sink take what was heard."""
        async with asyncio.TaskGroup() as collecting:
            collectors = [collecting.create_task(collector.run()) for _, collector, _ in self._devices]
            try:
                async with asyncio.TaskGroup() as sessions:
                    for _, _, session in self._devices:
                        sessions.create_task(session.run())
                    sessions.create_task(asyncio.Event().wait())  # no devices, or all given up: still running
            finally:
                await self._drain(collectors)
                for task in collectors:
                    task.cancel()

    async def _drain(self, collectors: Sequence[asyncio.Task[None]]) -> None:
        """Let the sink take what was heard; a collector that has ended (its sink failed) has nobody to wait for."""
        draining = [
            asyncio.create_task(collector.drain())
            for (_, collector, _), task in zip(self._devices, collectors, strict=True)
            if not task.done()
        ]
        if not draining:
            return
        _, undrained = await asyncio.wait(draining, timeout=DRAIN_SECONDS)
        for drain in undrained:
            drain.cancel()
        for entry, collector, _ in self._devices:
            if collector.waiting:
                fields = {"count": str(collector.waiting)}
                self._report(Notice(entry.device_id, NoticeKind.READINGS_DROPPED, self._clock.now(), fields))

    def statuses(self) -> tuple[DeviceStatus, ...]:
        """Each device's link and newest reading, for the hub's status message and its pages."""
        return tuple(
            DeviceStatus(
                device_id=entry.device_id,
                profile=entry.profile,
                link=session.link,
                last_reading_ms=None if collector.last_heard is None else collector.last_heard.utc_ms,
                battery_percent=collector.battery_percent,
            )
            for entry, collector, session in self._devices
        )

    def _teller(self, device_id: str) -> "_Teller":
        return _Teller(device_id, self._clock, self._report)


class _Teller:
    """Tells the station's listener about one device's link."""

    def __init__(self, device_id: str, clock: Clock, report: Report) -> None:
        self._device_id = device_id
        self._clock = clock
        self._report = report

    def connected(self) -> None:
        self._say(NoticeKind.DEVICE_CONNECTED)

    def lost(self, reason: str) -> None:
        self._say(NoticeKind.DEVICE_LOST, reason)

    def given_up(self, reason: str) -> None:
        self._say(NoticeKind.DEVICE_GIVEN_UP, reason)

    def _say(self, kind: NoticeKind, reason: str = "") -> None:
        fields = {"reason": reason} if reason else {}
        self._report(Notice(self._device_id, kind, self._clock.now(), fields))
