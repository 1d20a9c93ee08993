"""A Nonin oximeter on a serial line: 75 frames a second in data format 2, one measurement set a second.

It begins to speak one whole second after the line was opened, as the real one needs its time to start, and that also
leaves the reader the time to clear its buffers. The journal is kept by the profile's own framer, which reads exactly
the bytes that went out.
"""

import asyncio
import math
import random
from collections.abc import Mapping
from pathlib import Path

from bedside_profiles.profile import Decoded
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial.nonin_df2 import (
    FRAME_BYTES,
    FRAMES_A_SECOND,
    PACKET_FRAMES,
    PACKETS_A_SET,
    PROFILE,
    packet_of,
)
from bedside_sim.devices.device import PART_OF_TICK, Moment
from bedside_sim.faults import pieces
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.pty import SerialLine

BURSTS_A_SECOND = 15
"""Five frames at once: about what a USB adapter collects before it hands over."""


class NoninOximeter:
    """See `device.Device`. With `split`, bursts come in pieces of 1 to 7 bytes."""

    profile_name = PROFILE.name

    def __init__(self, path: Path, journal: Journal, *, device_id: str, split: random.Random | None = None) -> None:
        self.device_id = device_id
        self.busy = asyncio.Lock()
        self._path = path
        self._journal = journal
        self._split = split
        self._line = SerialLine(path)
        self._framer = PROFILE.framer()
        self._was_open = False

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"port": str(self._path)}

    async def start(self) -> None:
        """The line is there since this object was made."""

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """75 frames, spread over the tick; nothing while nobody listens or for the first second that somebody does."""
        if not self._line.is_open():
            self._was_open = False
            return
        if not self._was_open:
            self._was_open = True
            self._framer = PROFILE.framer()
            return
        members = (
            Measurement(Metric.SPO2, float(round(vitals.spo2)), Modality.CONTINUOUS),
            Measurement(Metric.PULSE_RATE, float(round(vitals.pulse_rate)), Modality.CONTINUOUS),
        )
        stream = _one_second(members, vitals.pulse_rate)
        burst = len(stream) // BURSTS_A_SECOND
        pause = moment.length_seconds * PART_OF_TICK / BURSTS_A_SECOND
        for at in range(0, len(stream), burst):
            heard, _ = await self._say(stream[at : at + burst])
            if not heard:
                return
            await asyncio.sleep(pause)

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; the three packets of one set, at once."""
        members = tuple(Measurement(metric, value, Modality.CONTINUOUS) for metric, value in values.items())
        if not self._was_open:
            return None
        _, stamp = await self._say(_one_second(members, values.get(Metric.PULSE_RATE, 60.0)))
        return stamp

    async def drop(self) -> None:
        """A line has no connection to end: it is unplugged and plugged in again."""
        self.vanish()
        self.reappear()

    def vanish(self) -> None:
        """Unplugged."""
        self._line.unplug()
        self._was_open = False

    def reappear(self) -> None:
        """Plugged in again; the path leads to a new terminal."""
        self._line.plug_in()

    async def stop(self) -> None:
        """Gone for good, the path too."""
        self.vanish()

    async def _say(self, data: bytes) -> tuple[bool, Stamp | None]:
        """Whether somebody listened to the end, and when the last measurement that `data` completes went out."""
        completed = None
        for piece in [data] if self._split is None else pieces(data, self._split, 7):
            stamp = Stamp.now()
            if not await self._line.write(piece):
                self._was_open = False
                return False, None
            for outcome in self._framer.feed(piece):
                if isinstance(outcome, Decoded) and outcome.measurements:
                    self._journal.record(self.device_id, outcome.measurements, stamp)
                    completed = stamp
        return True, completed


def _one_second(members: tuple[Measurement, ...], pulse_rate: float) -> bytes:
    """Three packets with a pulse wave: a quick rise, a slow fall."""
    packet = packet_of(members)
    beat_frames = FRAMES_A_SECOND * 60 / max(pulse_rate, 20.0)
    wave = [20 + round(220 * math.exp(-3 * (frame % beat_frames) / beat_frames)) for frame in range(FRAMES_A_SECOND)]
    stream = b"".join(
        packet.to_bytes(wave[place * PACKET_FRAMES : (place + 1) * PACKET_FRAMES]) for place in range(PACKETS_A_SET)
    )
    assert len(stream) == FRAMES_A_SECOND * FRAME_BYTES  # noqa: S101 - the bursts divide it evenly
    return stream
