"""Any serial device of the catalogue on a pseudo-terminal, played from its profile's own encoder.

What it says, its side of the protocol decides (`serial_sides`), what it measures its kind (`serial_sets`). The journal
is kept by the profile's own framer, which reads exactly the bytes that went out; a result from a memory that is told
again stands in it once.
"""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

from bedside_profiles.catalogue import profile_named
from bedside_profiles.profile import Decoded, SerialProfile
from bedside_profiles.readings import Measurement, Metric
from bedside_sim.devices.device import Moment
from bedside_sim.devices.serial_sets import KINDS
from bedside_sim.devices.serial_sides import side_of
from bedside_sim.faults import LineFaults, pieces
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.pty import SerialLine

LOOK_SECONDS = 0.005
WAKES_UP_SECONDS = 0.05
"""A reader clears its buffers when it has opened the line: what is said before that is lost."""


class SerialDevice:
    """See `device.Device`. `profile_name` is the catalogue's name; KeyError for one that cannot be played.

    `taken_for` is the profile that the hub's settings name for it, where that is another one.
    """

    def __init__(
        self,
        profile_name: str,
        path: Path,
        journal: Journal,
        *,
        device_id: str,
        faults: LineFaults | None = None,
        taken_for: str | None = None,
    ) -> None:
        profile = profile_named(profile_name)
        if not isinstance(profile, SerialProfile) or profile_name not in KINDS:
            raise KeyError(profile_name)
        self.device_id = device_id
        self.profile_name = taken_for or profile_name
        self.busy = asyncio.Lock()
        self.side = side_of(profile)
        self.faults = faults or LineFaults(random.Random(1))
        self.heard = b""
        """All that the hub ever said to it."""
        self._profile = profile
        self._kind = KINDS[profile_name]
        self._path = path
        self._journal = journal
        self._line = SerialLine(path)
        self._framer = profile.framer()
        self._told: set[tuple[tuple[Measurement, ...], int | None]] = set()
        self._number = 0
        self._is_open = False
        self._listening: asyncio.Task[None] | None = None

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"port": str(self._path)}

    @property
    def is_open(self) -> bool:
        """Whether somebody reads it."""
        return self._is_open

    async def start(self) -> None:
        """Hear what is said to it."""
        self._listening = asyncio.create_task(self._listen())

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A measurement, when it is time for one."""
        if moment.second % self._kind.every_seconds == 0:
            await self._measure(self._kind.measured(vitals, self._number))

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; a device that keeps its results has taken it, and tells it when it is asked."""
        return await self._measure(self._kind.of(values, self._number))

    async def drop(self) -> None:
        """A line has no connection to end: it is unplugged and plugged in again."""
        self.vanish()
        self.reappear()

    def vanish(self) -> None:
        """Unplugged."""
        self._line.unplug()
        self._is_open = False

    def reappear(self) -> None:
        """Plugged in again; the path leads to a new terminal."""
        self._line.plug_in()

    async def stop(self) -> None:
        """Gone for good, the path too."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        self.vanish()

    async def _measure(self, members: tuple[Measurement, ...]) -> Stamp | None:
        if not self._is_open and not self.side.keeps:
            return None
        said = self.side.measured(members, self._now())
        self._number += 1
        return await self._say(said) if said else Stamp.now()

    async def _listen(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            is_open = self._line.is_open()
            if is_open and not self._is_open:
                await asyncio.sleep(WAKES_UP_SECONDS)
            async with self.busy:
                if is_open and not self._is_open:
                    self._framer = self._profile.framer()
                    self._is_open = True
                    await self._say(self.side.opened(self._now()))
                self._is_open = self._is_open and self._line.is_open()
                if heard := self._line.heard():
                    await self._answer(heard)

    async def _answer(self, heard: bytes) -> None:
        self.heard += heard
        if self.faults.unanswered:
            self.faults.unanswered -= 1
            return
        await self._say(self.side.hear(heard, self._now()))

    async def _say(self, data: bytes) -> Stamp | None:
        """When the last measurement that `data` completes went out; None when nobody listened to the end."""
        if self.faults.silent or not data:
            return None
        stamp = None
        data = self.faults.dice.randbytes(self.faults.garbage_bytes) + data
        for piece in pieces(data, self.faults.dice, 7) if self.faults.split else [data]:
            stamp = Stamp.now()
            if not await self._line.write(piece):
                self._is_open = False
                return None
            for outcome in self._framer.feed(piece):
                if isinstance(outcome, Decoded) and outcome.measurements:
                    self._write_down(outcome.measurements, stamp)
        return stamp

    def _write_down(self, members: tuple[Measurement, ...], stamp: Stamp) -> None:
        result = (members, members[0].record)
        if self.side.keeps and result in self._told:
            return
        self._told.add(result)
        self._journal.record(self.device_id, members, stamp)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
