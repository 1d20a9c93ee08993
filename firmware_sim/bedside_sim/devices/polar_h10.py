"""A Polar H10 on Bluetooth: what any strap says, and an electrocardiogram once somebody asks for it."""

import asyncio

from bedside_profiles.bluetooth import polar_h10, polar_pmd
from bedside_profiles.bluetooth.polar_pmd import PmdFrame
from bedside_sim.devices.device import PART_OF_TICK, Moment
from bedside_sim.devices.heart_rate_strap import HeartRateStrap
from bedside_sim.ecg import Heart
from bedside_sim.journal import Journal
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air

FRAME_SAMPLES = 73
"""What the real one puts into a frame."""

_UNKNOWN_COMMAND = 1
_ALREADY = 6
_FIRST_NS = 599_616_000 * 10**9
"""2019-01-01, from where its clock counts until somebody sets it, since 2000-01-01."""


class PolarH10(HeartRateStrap):
    """See `device.Device`. `sampled` are the samples that went out, microvolt, oldest first."""

    profile_name = polar_h10.NAME

    def __init__(self, air: Air, journal: Journal, *, device_id: str, address: str) -> None:
        super().__init__(
            air,
            journal,
            device_id=device_id,
            address=address,
            profile=polar_h10.PROFILE,
            name="Polar H10 1A2B3C4D",
            heeds={polar_pmd.CONTROL_POINT: self._heed},
            homes=dict.fromkeys((polar_pmd.CONTROL_POINT, polar_pmd.DATA), polar_pmd.SERVICE),
        )
        self.sampled: list[int] = []
        self._heart = Heart()
        self._is_streaming = False
        self._due = 0.0

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {**super().whereabouts, "waveform": "on"}

    async def start(self) -> None:
        """See `Peripheral`."""
        self.when_connected(self._fall_silent)
        await super().start()

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """See `HeartRateStrap`; and the samples of this second, if they were asked for."""
        await super().second(vitals, moment)
        if self._is_streaming and self.connected:
            await self._stream(vitals.pulse_rate, moment.length_seconds)

    def _fall_silent(self) -> None:
        self._is_streaming = False
        self._due = 0.0

    def _heed(self, command: bytes) -> None:
        if command != polar_pmd.START_ECG:
            self.later(self._answer(command, _UNKNOWN_COMMAND))
        elif self._is_streaming:
            self.later(self._answer(command, _ALREADY))
        else:
            self._is_streaming = True
            self.later(self._answer(command, polar_pmd.STARTED))

    async def _answer(self, command: bytes, error: int) -> None:
        payload = bytes((polar_pmd.ANSWER, *command[:2], error, 0))
        await self.hand_over(polar_pmd.CONTROL_POINT, payload)

    async def _stream(self, pulse_rate: float, length_seconds: float) -> None:
        """Each frame when its last sample is due, but the last one in good time before the tick is over."""
        clock = asyncio.get_running_loop().time
        began, left_over = clock(), self._due
        frames, self._due = divmod(left_over + polar_pmd.ECG_RATE_HZ * length_seconds, FRAME_SAMPLES)
        for number in range(1, int(frames) + 1):
            due_seconds = (number * FRAME_SAMPLES - left_over) / polar_pmd.ECG_RATE_HZ
            await asyncio.sleep(began + min(due_seconds, PART_OF_TICK * length_seconds) - clock())
            samples = self._heart.samples(FRAME_SAMPLES, polar_pmd.ECG_RATE_HZ, pulse_rate)
            frame = PmdFrame(polar_pmd.ECG, _FIRST_NS + round(clock() * 10**9), 0, (samples,))
            if await self.hand_over(polar_pmd.DATA, frame.to_bytes()) is not None:
                self.sampled += samples
