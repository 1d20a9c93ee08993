"""A continuous glucose sensor on Bluetooth: a value every few minutes, kept since its session began."""

from collections.abc import Mapping
from datetime import datetime

from bedside_profiles.bluetooth.cgm_session import START_TIME
from bedside_profiles.bluetooth.continuous_glucose import MEASUREMENT, PROFILE, SensorRecord
from bedside_profiles.bluetooth.end_to_end import with_crc
from bedside_profiles.bluetooth.record_access import CONTROL_POINT
from bedside_profiles.numbers import encode_date_time
from bedside_profiles.readings import Metric
from bedside_sim.devices.device import Moment
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.devices.record_keeper import KeeperFaults, RecordKeeper
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air

MINUTES = 5
_NO_ZONE, _NO_DAYLIGHT_SAVING = 0x80, 0xFF


class GlucoseSensor(Peripheral):
    """See `device.Device`. A new `session_start` is a new sensor on the skin: its memory is empty."""

    profile_name = PROFILE.name
    keeps = True

    def __init__(
        self,
        air: Air,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        session_start: datetime | None,
        faults: KeeperFaults | None = None,
    ) -> None:
        self.session_start = session_start
        self.keeper = RecordKeeper(faults)
        super().__init__(
            air,
            PROFILE,
            journal,
            device_id=device_id,
            name="Sim Glucose Sensor",
            address=address,
            shows={START_TIME: self._start_time},
            heeds={CONTROL_POINT: self.keeper.heed},
        )
        self.keeper.belongs_to(self)

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    def keep(self, mg_dl: float) -> int:
        """Measure while no hub is near; the minutes since the session began."""
        minutes = max(self.keeper.records, default=0) + MINUTES
        self.keeper.records[minutes] = [(MEASUREMENT, SensorRecord(mg_dl, minutes, checked=True).to_bytes())]
        return minutes

    def begin_session(self, start: datetime | None) -> None:
        """A new sensor."""
        self.session_start = start
        self.keeper.records.clear()

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A second is a minute to it."""
        if moment.second % MINUTES == 0:
            await self.emit({Metric.GLUCOSE: float(100 + moment.second % 40)}, spot=False)

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; it is kept too, whoever listens."""
        (mg_dl,) = values.values()
        ((characteristic, payload),) = self.keeper.records[self.keep(mg_dl)]
        return await self.hand_over(characteristic, payload)

    def _start_time(self) -> bytes:
        return with_crc(encode_date_time(self.session_start) + bytes((_NO_ZONE, _NO_DAYLIGHT_SAVING)))
