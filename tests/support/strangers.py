"""A Bluetooth device that no hub knows."""

from bumble import data_types, hci
from bumble.core import UUID, AdvertisingData
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from bedside_sim.radio import Air, VirtualController


class Stranger:
    """Advertises a name and a service, 128 bit and lower case, of the Bluetooth SIG."""

    def __init__(self, air: Air, address: str, name: str, service_uuid: str) -> None:
        controller = VirtualController(name, link=air)
        controller.random_address = hci.Address(address)
        self._device = Device(
            config=DeviceConfiguration(name=name, address=hci.Address(address)),
            host=Host(controller, AsyncPipeSink(controller)),
        )
        services = data_types.CompleteListOf16BitServiceUUIDs([UUID.from_16_bits(int(service_uuid[4:8], 16))])
        self._device.advertising_data = bytes(AdvertisingData([services, data_types.CompleteLocalName(name)]))

    async def start(self) -> None:
        """Power on and advertise."""
        await self._device.power_on()
        await self._device.start_advertising(auto_restart=True)

    async def stop(self) -> None:
        """Say nothing more."""
        await self._device.stop_advertising()
