"""A glucose meter on Bluetooth: it keeps what it measures, and hands it over when asked."""

from collections.abc import Mapping
from datetime import datetime

from bedside_profiles.bluetooth.glucose import MEASUREMENT, PROFILE, GlucoseRecord
from bedside_profiles.bluetooth.glucose_context import MEASUREMENT_CONTEXT, GlucoseContext
from bedside_profiles.bluetooth.record_access import CONTROL_POINT
from bedside_profiles.readings import Metric
from bedside_sim.devices.device import Moment
from bedside_sim.devices.drifting_clock import DriftingClock
from bedside_sim.devices.peripheral import Peripheral
from bedside_sim.devices.record_keeper import KeeperFaults, RecordKeeper
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air

_MG_DL_PER_KG_L = 100_000
_CONTROL_SOLUTION, _CAPILLARY_BLOOD = 10, 1
_FINGER = 1


class GlucoseMeter(Peripheral):
    """See `device.Device`. It measures every `every_seconds`, first in second 3; None for never by itself."""

    profile_name = PROFILE.name
    keeps = True

    def __init__(
        self,
        air: Air,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        every_seconds: int | None = None,
        clock: DriftingClock | None = None,
        faults: KeeperFaults | None = None,
    ) -> None:
        self.clock = clock or DriftingClock(can_be_set=False)
        self.keeper = RecordKeeper(faults)
        shows, heeds = self.clock.current_time()
        super().__init__(
            air,
            PROFILE,
            journal,
            device_id=device_id,
            name="Sim Glucose Meter",
            address=address,
            shows=shows,
            heeds={**heeds, CONTROL_POINT: self.keeper.heed},
        )
        self.keeper.belongs_to(self)
        self._every_seconds = every_seconds
        self._next_number = 1

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        return {"address": self.address}

    def keep(
        self, mg_dl: float, *, control_solution: bool = False, meal: int | None = None, at: datetime | None = None
    ) -> int:
        """Measure while no hub is near; the record's number. `meal` is the code that its context holds."""
        number = self._next_number
        self._next_number += 1
        record = GlucoseRecord(
            number,
            (at or self.clock.time()).replace(microsecond=0),
            concentration=mg_dl / _MG_DL_PER_KG_L,
            sample=_CONTROL_SOLUTION if control_solution else _CAPILLARY_BLOOD,
            location=_FINGER,
            context_follows=meal is not None,
        )
        payloads = [(MEASUREMENT, record.to_bytes())]
        if meal is not None:
            payloads.append((MEASUREMENT_CONTEXT, GlucoseContext(number, meal=meal).to_bytes()))
        self.keeper.records[number] = payloads
        return number

    def reset(self) -> None:
        """A person emptied the memory; it counts anew."""
        self.keeper.records.clear()
        self._next_number = 1

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """A measurement, when it is time for one."""
        every = self._every_seconds
        if every is not None and moment.second % every == 3 % every:
            await self.emit({Metric.GLUCOSE: float(90 + moment.second % 60)}, spot=True)

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """See `device.Device`; it is kept too, whoever listens."""
        (mg_dl,) = values.values()
        for characteristic, payload in self.keeper.records[self.keep(mg_dl)]:
            stamp = await self.hand_over(characteristic, payload)
        return stamp
