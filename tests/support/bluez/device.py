"""A device that BlueZ has heard: Device1, its connection, and its services while it is connected."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Annotated, Any, Protocol

from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError, InvalidStateError, ProtocolError
from bumble.device import Advertisement, Connection, Peer
from bumble.gatt import GATT_GENERIC_ACCESS_SERVICE
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig
from dbus_fast import DBusError, Variant
from dbus_fast.annotations import DBusBool, DBusDict, DBusInt16, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property, dbus_signal
from tests.support.bluez.gatt import CALLER, READ, GattCharacteristic, GattDescriptor, GattService, Strings, uuid_text
from tests.support.bluez.refusals import in_progress, not_ready, refusal

MTU = 517
KEY_REFUSED = ("org.bluez.Reason.Authentication", "Connection terminated due to authentication failure")

_UUID_LISTS = (
    AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)
_NAMES = (AdvertisingData.Type.COMPLETE_LOCAL_NAME, AdvertisingData.Type.SHORTENED_LOCAL_NAME)
_SERVICE_DATA = (
    AdvertisingData.Type.SERVICE_DATA_16_BIT_UUID,
    AdvertisingData.Type.SERVICE_DATA_128_BIT_UUID,
)
_COMPANY_DATA = (AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA,)

ByCompany = Annotated[dict[int, Variant], DBusSignature("a{qv}")]


class Adapter(Protocol):
    """What a device needs of the adapter that heard it."""

    path: str

    @property
    def powered(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    @property
    def keys(self) -> KeyStore: ...

    async def connect(self, address: hci.Address) -> Connection: ...

    def configuration(self, device_path: str, caller: str | None) -> PairingConfig | None: ...

    def export(self, path: str, interface: ServiceInterface) -> None: ...

    def unexport(self, path: str) -> None: ...


class RemoteDevice(ServiceInterface):
    """See BlueZ's doc/org.bluez.Device.rst. It stays connected when the program that connected it is gone."""

    def __init__(self, adapter: Adapter, path: str, advertisement: Advertisement) -> None:
        super().__init__("org.bluez.Device1")
        self.path = path
        self._adapter = adapter
        self._address_on_air = advertisement.address
        self._names: list[str] = []
        self._uuids: list[str] = []
        self._service_data: dict[str, Variant] = {}
        self._company_data: dict[int, Variant] = {}
        self._rssi = 0
        self._take_over(advertisement)
        self._attempt: asyncio.Task[Connection] | None = None
        self._pairing: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._resolving: asyncio.Task[None] | None = None
        self._resolved = False
        self._bonded = False
        self._characteristics: list[GattCharacteristic] = []
        self._children: list[str] = []

    async def recall(self) -> None:
        """Whether there is a bond with it from before."""
        self._bonded = await self._adapter.keys.get(str(self._address_on_air)) is not None

    async def forget_bond(self) -> None:
        """The keys go with the device."""
        if self._bonded:
            self._bonded = False
            await self._adapter.keys.delete(str(self._address_on_air))

    async def pair_for(self, caller: str | None) -> None:
        """Pair with the help of the caller's agent, or of the default one."""
        connection = self._connection
        configuration = self._adapter.configuration(self.path, caller)
        if connection is None or configuration is None:
            raise refusal("AuthenticationFailed", "Authentication Failed")
        connection.device.pairing_config_factory = lambda _connection: configuration
        try:
            await connection.pair()
        except (ProtocolError, BaseBumbleError, asyncio.CancelledError) as error:
            raise refusal("AuthenticationFailed", "Authentication Failed") from error
        self._bonded = True
        self.emit_properties_changed({"Paired": True, "Bonded": True})

    async def secured(self) -> bool | None:
        """See `gatt.Secure`; the default agent is asked, as by the kernel."""
        if self._bonded:
            return None
        try:
            await self.pair_for(None)
        except DBusError:
            return False
        return True

    def hear(self, advertisement: Advertisement) -> None:
        """It advertises again."""
        self._take_over(advertisement)
        self.emit_properties_changed(
            {
                "RSSI": self._rssi,
                "UUIDs": self._uuids,
                "ServiceData": self._service_data,
                "ManufacturerData": self._company_data,
            }
        )

    @property
    def is_idle(self) -> bool:
        """Neither connected nor about to be."""
        return self._connection is None and self._attempt is None

    async def forget(self, caller: str) -> None:
        """The program is gone from the bus: its subscriptions end, the connection does not."""
        for characteristic in list(self._characteristics):
            await characteristic.forget(caller)

    async def release(self) -> None:
        """End the connection, and any attempt at one."""
        if self._attempt is not None:
            self._attempt.cancel()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(BaseBumbleError):
                await connection.disconnect()

    def lost(self) -> None:
        """The link has ended: the services go, then everybody is told."""
        if self._attempt is not None:
            self._attempt.cancel()
        if self._connection is None:
            return
        self._connection = None
        self._resolved = False
        if self._resolving is not None:
            self._resolving.cancel()
        self.emit_properties_changed({"ServicesResolved": False, "Connected": False})
        self._characteristics.clear()
        for path in reversed(self._children):
            self._adapter.unexport(path)
        self._children.clear()

    @dbus_method(name="Connect")
    async def connect(self) -> None:
        if self._connection is not None:
            return
        if self._attempt is not None or self._adapter.busy:
            raise in_progress()
        if not self._adapter.powered:
            raise not_ready()
        self._attempt = asyncio.create_task(self._adapter.connect(self._address_on_air))
        try:
            connection = await self._attempt
        except asyncio.CancelledError:
            raise refusal("Failed", "br-connection-canceled") from None
        except BaseBumbleError as error:
            raise refusal("Failed", "le-connection-abort-by-local") from error
        finally:
            self._attempt = None
        self._connection = connection
        connection.once(connection.EVENT_DISCONNECTION, lambda _reason: self.lost())
        self.emit_properties_changed({"Connected": True})
        self._resolving = asyncio.create_task(self._resolve(connection))

    @dbus_method(name="Pair")
    async def pair(self) -> None:
        if self._bonded:
            raise refusal("AlreadyExists", "Already Exists")
        if self._pairing is not None:
            raise in_progress()
        self._pairing = asyncio.create_task(self.pair_for(CALLER.get()))
        try:
            await self._pairing
        finally:
            self._pairing = None

    @dbus_method(name="CancelPairing")
    def cancel_pairing(self) -> None:
        if self._pairing is None:
            raise refusal("DoesNotExist", "Does Not Exist")
        self._pairing.cancel()

    @dbus_signal(name="Disconnected")
    def disconnected(self) -> Annotated[tuple[str, str], DBusSignature("ss")]:
        return KEY_REFUSED

    @dbus_method(name="Disconnect")
    async def disconnect(self) -> None:
        if self.is_idle:
            raise refusal("NotConnected", "Not Connected")
        await self.release()

    async def _resolve(self, connection: Connection) -> None:
        """Put the services on the bus. A link that ends meanwhile ends this too."""
        with contextlib.suppress(BaseBumbleError, InvalidStateError):
            if self._bonded and not await self._encrypted(connection):
                self.disconnected()
                await connection.disconnect()
                return
            peer = Peer(connection)
            await peer.request_mtu(MTU)
            for service in await peer.discover_services():
                if service.uuid == GATT_GENERIC_ACCESS_SERVICE:
                    continue  # BlueZ keeps it to itself
                await service.discover_characteristics()
                service_path = f"{self.path}/service{service.handle:04x}"
                self._add(service_path, GattService(self.path, service))
                self._uuids = list(dict.fromkeys([*self._uuids, uuid_text(service.uuid)]))
                for characteristic in service.characteristics:
                    await characteristic.discover_descriptors()
                    path = f"{service_path}/char{characteristic.handle - 1:04x}"
                    exported = GattCharacteristic(service_path, connection, characteristic, self.secured)
                    self._characteristics.append(exported)
                    self._add(path, exported)
                    for descriptor in characteristic.descriptors:
                        self._add(f"{path}/desc{descriptor.handle:04x}", GattDescriptor(path, descriptor))
            self._resolved = True
            self.emit_properties_changed({"UUIDs": self._uuids, "ServicesResolved": True})

    async def _encrypted(self, connection: Connection) -> bool:
        """With the key of the bond; False when the device does not know it."""
        try:
            await connection.encrypt()
        except hci.HCI_Error as error:
            if error.error_code != hci.HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR:
                raise
            return False
        return True

    def _add(self, path: str, interface: ServiceInterface) -> None:
        self._children.append(path)
        self._adapter.export(path, interface)

    def _take_over(self, advertisement: Advertisement) -> None:
        def all_of(types: Iterable[AdvertisingData.Type]) -> list[Any]:
            return [found for kind in types for found in advertisement.data.get_all(kind)]

        self._names = all_of(_NAMES) or self._names
        heard = [uuid_text(uuid) for uuids in all_of(_UUID_LISTS) for uuid in uuids]
        self._uuids = list(dict.fromkeys([*self._uuids, *heard]))
        self._service_data |= {uuid_text(uuid): Variant("ay", bytes(data)) for uuid, data in all_of(_SERVICE_DATA)}
        self._company_data |= {company: Variant("ay", bytes(data)) for company, data in all_of(_COMPANY_DATA)}
        self._rssi = advertisement.rssi

    @dbus_property(READ, name="Address")
    def address(self) -> DBusStr:
        return self._address_on_air.to_string(False)

    @dbus_property(READ, name="AddressType")
    def address_type(self) -> DBusStr:
        return "public" if self._address_on_air.is_public else "random"

    @dbus_property(READ, name="Adapter")
    def adapter(self) -> DBusObjectPath:
        return self._adapter.path

    @dbus_property(READ, name="Alias")
    def alias(self) -> DBusStr:
        return self._names[0] if self._names else self._address_on_air.to_string(False).replace(":", "-")

    @dbus_property(READ, name="Name")
    def device_name(self) -> DBusStr:
        return self._names[0] if self._names else self._address_on_air.to_string(False).replace(":", "-")

    @dbus_property(READ, name="Connected")
    def connected(self) -> DBusBool:
        return self._connection is not None

    @dbus_property(READ, name="ServicesResolved")
    def services_resolved(self) -> DBusBool:
        return self._resolved

    @dbus_property(READ, name="Paired")
    def paired(self) -> DBusBool:
        return self._bonded

    @dbus_property(READ, name="Bonded")
    def bonded(self) -> DBusBool:
        return self._bonded

    @dbus_property(READ, name="Blocked")
    def blocked(self) -> DBusBool:
        return False

    @dbus_property(READ, name="Trusted")
    def trusted(self) -> DBusBool:
        return False

    @dbus_property(READ, name="UUIDs")
    def uuids(self) -> Strings:
        return self._uuids

    @dbus_property(READ, name="ServiceData")
    def service_data(self) -> DBusDict:
        return self._service_data

    @dbus_property(READ, name="ManufacturerData")
    def manufacturer_data(self) -> ByCompany:
        return self._company_data

    @dbus_property(READ, name="RSSI")
    def rssi(self) -> DBusInt16:
        return self._rssi
