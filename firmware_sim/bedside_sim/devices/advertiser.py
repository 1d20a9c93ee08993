"""A device that says what it measured in its advertisements, to everybody, again and again, and takes no connection."""

import asyncio
from collections.abc import Mapping, Sequence

from bumble import data_types, hci
from bumble.core import UUID, AdvertisingData, DataType
from bumble.device import AdvertisingType, Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from bedside_profiles.profile import Advert, AdvertProfile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_sim.devices.device import Moment
from bedside_sim.journal import Journal, Stamp
from bedside_sim.patients import Vitals
from bedside_sim.radio import Air, VirtualController

ADVERTISING_INTERVAL_MS = 50


class Advertiser:
    """See `device.Device`. It sleeps until it has measured, and then repeats that until it is asked to sleep again.

    `address` and `bind_key` are those that the profile's `encode` seals with, where it encrypts.
    """

    def __init__(
        self,
        air: Air,
        profile: AdvertProfile,
        journal: Journal,
        *,
        device_id: str,
        address: str,
        bind_key: bytes | None = None,
    ) -> None:
        self.device_id = device_id
        self.profile_name = profile.name
        self.busy = asyncio.Lock()
        self._profile = profile
        self._journal = journal
        self._address = address
        self._bind_key = bind_key
        self._air = air
        controller = self._controller = VirtualController(device_id, link=air)
        controller.random_address = hci.Address(address)
        self._device = Device(
            config=DeviceConfiguration(name=profile.label, address=hci.Address(address)),
            host=Host(controller, AsyncPipeSink(controller)),
        )

    @property
    def whereabouts(self) -> dict[str, str]:
        """See `device.Device`."""
        found = {"address": self._address}
        return found if self._bind_key is None else {**found, "bind_key": self._bind_key.hex()}

    async def start(self) -> None:
        """Power on, and sleep."""
        await self._device.power_on()

    async def second(self, vitals: Vitals, moment: Moment) -> None:
        """Nobody steps on it by itself."""

    async def emit(self, values: Mapping[Metric, float], *, spot: bool) -> Stamp | None:
        """Measure these values, and say them from now on. Raises `EncodeError`."""
        modality = Modality.SPOT if spot else Modality.CONTINUOUS
        return await self.say([Measurement(metric, value, modality) for metric, value in values.items()])

    async def say(self, measurements: Sequence[Measurement]) -> Stamp:
        """Say this from now on; the journal gets what the profile's decoder reads in it. Raises `EncodeError`."""
        payload = self._profile.encode(measurements)
        understood = self._profile.decode(Advert(payload, self._address, self._bind_key))
        stamp = Stamp.now()
        await self.repeat(payload)
        self._journal.record(self.device_id, understood.measurements, stamp)
        return stamp

    async def repeat(self, payload: bytes) -> None:
        """Advertise these bytes until something else is said."""
        await self.sleep()
        await self._device.start_advertising(
            advertising_type=AdvertisingType.UNDIRECTED,
            advertising_data=bytes(AdvertisingData([_flags(), self._data(payload)])),
            advertising_interval_min=ADVERTISING_INTERVAL_MS,
            advertising_interval_max=ADVERTISING_INTERVAL_MS,
        )

    async def drop(self) -> None:
        """Nobody is connected to it."""

    def vanish(self) -> None:
        """Out of range."""
        self._air.take_away(self._controller)

    def reappear(self) -> None:
        """In range again; it still says the last thing."""
        self._air.bring_back(self._controller)

    async def sleep(self) -> None:
        """Say nothing."""
        if self._device.is_advertising:
            await self._device.stop_advertising()

    async def stop(self) -> None:
        """Gone for good."""
        await self.sleep()

    def _data(self, payload: bytes) -> DataType:
        if self._profile.company is not None:
            return data_types.ManufacturerSpecificData(self._profile.company, payload)
        assert self._profile.service_uuid is not None  # noqa: S101 - one of the two is there
        return data_types.ServiceData16BitUUID(UUID.from_16_bits(int(self._profile.service_uuid[4:8], 16)), payload)


def _flags() -> data_types.Flags:
    return data_types.Flags(
        AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
    )
