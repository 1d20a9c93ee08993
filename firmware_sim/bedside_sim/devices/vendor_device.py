"""A maker's own device on Bluetooth: it says its values, or answers a hub's commands, as its script has it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.devices.peripheral import Peripheral, RefusedError
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air

LONGEST_VALUE_BYTES = 20
"""What a device notifies that never asks for a larger MTU: its frames come in pieces."""


Said = bytes | tuple[str, bytes]
"""A frame, said over the first of the profile's characteristics, or over the one that stands before it."""


class Script(Protocol):
    """What the device does. `measured` are the values of this moment; one that `keeps` them tells them again."""

    keeps: bool

    def connected(self) -> None:
        """A hub has connected."""
        ...

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[Said]:
        """What it answers, frame by frame."""
        ...

    def ticked(self, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """What it says by itself when it has new values."""
        ...


class VendorDevice(Peripheral):
    """See `device.Device`. `commands` are all that was written to it."""

    def __init__(
        self,
        air: Air,
        journal: Journal,
        profile: BleProfile,
        script: Script,
        *,
        device_id: str,
        name: str,
        address: str,
        silent_after: int | None = None,
        model_number: str | None = None,
        also_heeds: Sequence[str] = (),
    ) -> None:
        """`silent_after` so many commands it sleeps: it answers nothing more, and its link ends. `also_heeds` are
        characteristics beside the profile's commands that a hub may write."""
        super().__init__(
            air,
            profile,
            journal,
            device_id=device_id,
            name=name,
            address=address,
            heeds=dict.fromkeys((*(profile.commands or (profile.characteristics[0].uuid,)), *also_heeds), self._heed),
            model_number=model_number,
        )
        self.commands: list[bytes] = []
        self.ends_the_link = False
        """Instead of its next answer, once."""
        self.profile_name = profile.name
        self.keeps = script.keeps
        self._script = script
        self._silent_after = silent_after
        self._measured: tuple[Measurement, ...] = ()
        self._speaking = asyncio.Lock()
        self.when_connected(script.connected)

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """What it measures of the patient is for its kind to say (`radio_sets`): nothing by itself."""

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; None also for a device that waits to be asked."""
        modality = Modality.SPOT if spot else Modality.CONTINUOUS
        return await self.measure([Measurement(metric, value, modality) for metric, value in values.items()])

    async def measure(self, measured: Sequence[Measurement]) -> Stamp | None:
        """As `emit`, with the time that the device gives it."""
        self._measured = tuple(measured)
        return await self._speak(self._script.ticked(self._measured))

    def awake(self) -> None:
        """It answers again, as often as it is asked."""
        self._silent_after = None

    def _heed(self, command: bytes) -> None:
        if self._silent_after is not None and len(self.commands) >= self._silent_after:
            self.later(self.drop())
            raise RefusedError
        self.commands.append(command)
        if self.ends_the_link:
            self.ends_the_link = False
            self.later(self.drop())
            return
        self.later(self._speak(self._script.heard(command, self._measured)))

    async def _speak(self, frames: Sequence[Said]) -> Stamp | None:
        stamp = None
        async with self._speaking:
            for said in frames:
                over, frame = said if isinstance(said, tuple) else (self.profile.characteristics[0].uuid, said)
                stamp = await self.hand_over(over, frame, longest=LONGEST_VALUE_BYTES) or stamp
        return stamp
