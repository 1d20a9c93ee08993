"""A thermometer on Bluetooth: intermediate values while it settles, then one that counts."""

from collections.abc import Mapping

from bedside_profiles.bluetooth.thermometer import INTERMEDIATE, MEASUREMENT, PROFILE, TemperatureRecord
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.devices.drifting_clock import DriftingClock
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air

_SETTLING_BELOW = (4.0, 2.0, 0.5)
"""Degrees below the result, in the values that come before it."""


class Thermometer(Peripheral):
    """See `device.Device`. It measures every `every_seconds`, first in second 4."""

    profile_name = PROFILE.name

    def __init__(
        self,
        air: Air,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        every_seconds: int,
        clock: DriftingClock | None = None,
    ) -> None:
        self.clock = clock or DriftingClock()
        shows, heeds = self.clock.date_time()
        super().__init__(
            air,
            PROFILE,
            journal,
            device_id=device_id,
            name="Sim Thermometer",
            address=address,
            shows=shows,
            heeds=heeds,
        )
        self._every_seconds = every_seconds

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A measurement, when it is time for one."""
        if moment.second % self._every_seconds == 4 % self._every_seconds:
            await self.emit({Metric.BODY_TEMPERATURE: 36.6}, spot=True)

    async def settle(self, celsius: float) -> None:
        """The values that come before one that counts."""
        for below in _SETTLING_BELOW:
            await self.hand_over(INTERMEDIATE, TemperatureRecord(round(celsius - below, 1)).to_bytes())

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; a thermometer's measurement is always a spot check."""
        device_time = self.clock.time().replace(microsecond=0).isoformat()
        members = [
            Measurement(metric, value, Modality.SPOT, device_time=device_time) for metric, value in values.items()
        ]
        return await self.say(MEASUREMENT, members)
