"""A finger oximeter on Bluetooth: running values each second, a spot check when asked for one."""

from collections.abc import Mapping

from bedside_profiles.bluetooth.pulse_oximeter import CONTINUOUS, PROFILE, SPOT_CHECK
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air


class PulseOximeter(Peripheral):
    """See `device.Device`."""

    profile_name = PROFILE.name

    def __init__(self, air: Air, journal: Journal, *, device_id: str, address: str) -> None:
        super().__init__(air, PROFILE, journal, device_id=device_id, name="Sim Oximeter", address=address)

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """One frame of running values."""
        values = {
            Metric.SPO2: float(round(vitals.spo2)),
            Metric.PULSE_RATE: float(round(vitals.pulse_rate)),
            Metric.PERFUSION_INDEX: round(vitals.perfusion_index, 1),
        }
        await self.emit(values, spot=False)

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`."""
        modality = Modality.SPOT if spot else Modality.CONTINUOUS
        members = [Measurement(metric, value, modality) for metric, value in values.items()]
        return await self.say(SPOT_CHECK if spot else CONTINUOUS, members)
