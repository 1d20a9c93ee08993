"""An upper-arm cuff on Bluetooth: one measurement now and then, indicated, with the cuff's own time."""

from collections.abc import Mapping
from datetime import UTC, datetime

from bedside_profiles.bluetooth.blood_pressure import MEASUREMENT, PROFILE
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air


class BloodPressureCuff(Peripheral):
    """See `device.Device`. It measures every `every_seconds`, first in second 2."""

    profile_name = PROFILE.name

    def __init__(self, air: Air, journal: Journal, *, device_id: str, address: str, every_seconds: int) -> None:
        super().__init__(air, PROFILE, journal, device_id=device_id, name="Sim Cuff", address=address)
        self._every_seconds = every_seconds

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A measurement, when it is time for one."""
        if moment.second % self._every_seconds != 2 % self._every_seconds:
            return
        await self.emit(
            {
                Metric.SYSTOLIC_PRESSURE: float(round(vitals.systolic)),
                Metric.DIASTOLIC_PRESSURE: float(round(vitals.diastolic)),
                Metric.MEAN_PRESSURE: float(round(vitals.mean)),
                Metric.PULSE_RATE: float(round(vitals.pulse_rate)),
            },
            spot=True,
        )

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; a cuff's measurement is always a spot check."""
        device_time = datetime.now(UTC).replace(microsecond=0, tzinfo=None).isoformat()
        members = [
            Measurement(metric, value, Modality.SPOT, device_time=device_time) for metric, value in values.items()
        ]
        return await self.say(MEASUREMENT, members)
