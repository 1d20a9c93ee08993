"""A Polar H10 on Bluetooth: what any strap says, and an electrocardiogram once somebody asks for it."""

import asyncio
import contextlib

from bedside_profiles.bluetooth import polar_h10, polar_pmd
from bedside_profiles.bluetooth.polar_pmd import PmdFrame
from bedside_sim.devices.device import Moment
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
        self._pulse_rate = 70.0
        self._streaming: asyncio.Task[None] | None = None

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {**super().whereabouts, "waveform": "on"}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """See `HeartRateStrap`."""
        self._pulse_rate = vitals.pulse_rate
        await super().second(vitals, moment)

    async def stop(self) -> None:
        """See `Peripheral`."""
        if self._streaming is not None:
            self._streaming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._streaming
        await super().stop()

    def _heed(self, command: bytes) -> None:
        if command != polar_pmd.START_ECG:
            self.later(self._answer(command, _UNKNOWN_COMMAND))
        elif self._streaming is not None and not self._streaming.done():
            self.later(self._answer(command, _ALREADY))
        else:
            self.later(self._answer(command, polar_pmd.STARTED))
            self._streaming = asyncio.create_task(self._stream())

    async def _answer(self, command: bytes, error: int) -> None:
        payload = bytes((polar_pmd.ANSWER, *command[:2], error, 0))
        await self.hand_over(polar_pmd.CONTROL_POINT, payload)

    async def _stream(self) -> None:
        clock = asyncio.get_running_loop().time
        began, frames = clock(), 0
        while self.connected:
            frames += 1
            await asyncio.sleep(began + frames * FRAME_SAMPLES / polar_pmd.ECG_RATE_HZ - clock())
            samples = self._heart.samples(FRAME_SAMPLES, polar_pmd.ECG_RATE_HZ, self._pulse_rate)
            time_ns = _FIRST_NS + round(clock() * 10**9)
            frame = PmdFrame(polar_pmd.ECG, time_ns, 0, (samples,))
            if await self.hand_over(polar_pmd.DATA, frame.to_bytes()) is not None:
                self.sampled += samples
