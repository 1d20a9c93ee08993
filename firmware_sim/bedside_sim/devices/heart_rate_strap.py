"""A chest strap on Bluetooth: heart rate and R-R intervals each second."""

from collections.abc import Mapping

from bedside_profiles.bluetooth.heart_rate import MEASUREMENT, PROFILE
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.devices.peripheral import Heed, Peripheral
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air


class HeartRateStrap(Peripheral):
    """See `device.Device`."""

    profile_name = PROFILE.name

    def __init__(
        self,
        air: Air,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        profile: BleProfile = PROFILE,
        name: str = "Sim Strap",
        heeds: Mapping[str, Heed] | None = None,
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """The last four are a model's that says more than the heart rate; see `Peripheral`."""
        super().__init__(
            air, profile, journal, device_id=device_id, name=name, address=address, heeds=heeds, homes=homes
        )

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """One frame with the rate and the intervals of this second."""
        members = [Measurement(Metric.HEART_RATE, float(round(vitals.pulse_rate)), Modality.CONTINUOUS)]
        members += [
            Measurement(Metric.RR_INTERVAL, interval, Modality.CONTINUOUS) for interval in vitals.rr_intervals_ms
        ]
        await self.say(MEASUREMENT, members)

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; a strap only streams."""
        members = [Measurement(metric, value, Modality.CONTINUOUS) for metric, value in values.items()]
        return await self.say(MEASUREMENT, members)
