"""Any device of the catalogue that a hub finds in the air, played from its profile's own encoder.

What it measures its kind decides, and what plays it stands beside it (`radio_sets`).
"""

import asyncio
from collections.abc import Mapping

from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.advertiser import Advertiser
from bedside_sim.devices.device import Moment
from bedside_sim.devices.radio_sets import KINDS, Place, Player
from bedside_sim.devices.vendor_device import VendorDevice
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air


class RadioDevice:
    """See `device.Device`. `player` is the device itself, with its faults. KeyError for a profile without one."""

    def __init__(self, profile_name: str, air: Air, journal: Journal, *, device_id: str, address: str) -> None:
        made = KINDS[profile_name]
        self.profile_name = profile_name
        self.device_id = device_id
        self.player: Player = made.play(Place(air, journal, device_id, address))
        self._kind = made.kind
        self._number = 0

    @property
    def busy(self) -> asyncio.Lock:
        """See `device.Device`."""
        return self.player.busy

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return self.player.whereabouts

    async def start(self) -> None:
        """See `device.Device`."""
        await self.player.start()

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A measurement, when it is time for one."""
        if moment.second % self._kind.every_seconds == 0:
            await self.measure(self._kind.values(vitals, self._number))

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; whether it is a spot check, the device decides."""
        return await self.measure(values)

    async def measure(self, values: Mapping[Metric, float]) -> Stamp | None:
        """The device's next measurement. A device with a clock that can be wrong gives it the time of that."""
        members: tuple[Measurement, ...] = self._kind.of(values, self._number)
        self._number += 1
        if isinstance(self.player, Advertiser):
            return await self.player.say(members)
        if isinstance(self.player, VendorDevice):
            return await self.player.measure(members)
        return await self.player.emit(values, spot=self._kind.modality is Modality.SPOT)

    async def drop(self) -> None:
        """See `device.Device`."""
        await self.player.drop()

    def vanish(self) -> None:
        """See `device.Device`."""
        self.player.vanish()

    def reappear(self) -> None:
        """See `device.Device`."""
        self.player.reappear()

    async def stop(self) -> None:
        """See `device.Device`."""
        await self.player.stop()
