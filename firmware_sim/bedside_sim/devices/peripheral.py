"""A Bluetooth peripheral that has one profile's service, on a virtual link, and journals what it hands over."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from bumble import data_types, hci
from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID, AdvertisingData, DataType
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.host import Host
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.profiles.device_information_service import DeviceInformationService
from bumble.transport.common import AsyncPipeSink

from bedside_profiles.bluetooth import battery_service
from bedside_profiles.bluetooth.device_information import MODEL_NUMBER
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import BleProfile, Transfer, sig_uuid
from bedside_profiles.readings import Measurement
from bedside_sim.journal import Journal, Stamp
from bedside_sim.radio import Air, VirtualController

ADVERTISING_INTERVAL_MS = 50
MOST_ADVERTISED = 31
"""Bytes of one advertisement."""

CONFIRMATION_SECONDS = 5.0

_NOTIFIES, _INDICATES = 0x01, 0x02
_PROPERTIES = {
    Transfer.NOTIFY: Characteristic.Properties.NOTIFY,
    Transfer.INDICATE: Characteristic.Properties.INDICATE,
}
_WRITTEN = Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE

Heed = Callable[[bytes], None]
"""What a device does when a hub has written. It raises `RefusedError` instead of taking it."""


class RefusedError(Exception):
    """The device answers with the ATT error `code`; 0x80 and above are its own."""

    def __init__(self, code: int = 0x80) -> None:
        super().__init__(f"refused with ATT error 0x{code:02x}")
        self.code = code


class Bonding(PairingDelegate):
    """How a device answers a hub that wants a bond: it counts the `attempts`, and refuses unless it `is_willing`.

    One that has a passkey makes no bond without it, and counts how often it was `asked_for` it.
    """

    def __init__(self, passkey: int | None) -> None:
        super().__init__(self.NO_OUTPUT_NO_INPUT if passkey is None else self.DISPLAY_OUTPUT_ONLY)
        self.attempts = 0
        self.asked_for = 0
        self.is_willing = True
        self._passkey = passkey

    async def accept(self) -> bool:
        """Whether it is in its pairing mode."""
        self.attempts += 1
        return self.is_willing

    async def confirm(self, auto: bool = False) -> bool:
        """Whether a bond is made without a passkey."""
        return self._passkey is None

    async def generate_passkey(self) -> int:
        """What stands on its label."""
        self.asked_for += 1
        return self._passkey or 0


class Peripheral:
    """Advertises its service and name whenever it is not connected. `address` is static random: F0:… to FF:…

    One that `keeps` its results tells them again; the journal has each once.
    """

    keeps = False

    def __init__(
        self,
        air: Air,
        profile: BleProfile,
        journal: Journal,
        *,
        device_id: str,
        name: str,
        address: str,
        further_services: Sequence[Service] = (),
        heeds: Mapping[str, Heed] | None = None,
        shows: Mapping[str, Callable[[], bytes]] | None = None,
        model_number: str | None = None,
        homes: Mapping[str, str] | None = None,
    ) -> None:
        """`heeds` are the characteristics that a hub may write, `shows` those that it may read, `model_number` what it
        says of itself in its Device Information: the profile's name, where nobody asks for it. `homes` is the service
        of each characteristic that is in another than the profile's."""
        self.device_id = device_id
        self.profile = profile
        self.address = address
        self.busy = asyncio.Lock()
        self.battery_percent = 80
        self.awake_seconds: float | None = None
        """After so long a connection it sleeps: it is away until it reappears. None: it stays awake."""
        self.pairing = Bonding(None)
        self._air = air
        self._journal = journal
        self._works: set[asyncio.Task[object]] = set()
        self._listener = profile.listen()
        self._shows = shows or {}
        self._model_number = model_number or profile.name
        self._told: set[tuple[tuple[Measurement, ...], int | None]] = set()
        self._controller = VirtualController(device_id, link=air)
        self._controller.random_address = hci.Address(address)
        self._characteristics = characteristics_of(
            {wanted.uuid: _PROPERTIES[wanted.transfer] for wanted in profile.characteristics}, heeds or {}, shows or {}
        )
        self._device = Device(
            config=DeviceConfiguration(name=name, address=hci.Address(address)),
            host=Host(self._controller, AsyncPipeSink(self._controller)),
        )
        self._device.add_services(
            [
                DeviceInformationService(manufacturer_name="Bedside simulator", model_number=self._model_number),
                *[Service(_uuid(home), there) for home, there in self._by_service(homes or {}).items()],
                Service(_uuid(battery_service.SERVICE), [self._battery_level()]),
                *further_services,
            ]
        )
        flags = AdvertisingData.Flags.LE_GENERAL_DISCOVERABLE_MODE | AdvertisingData.Flags.BR_EDR_NOT_SUPPORTED
        said: list[DataType] = [data_types.Flags(flags), _service_list(_uuid(profile.service_uuid))]
        named = bytes(AdvertisingData([*said, data_types.CompleteLocalName(name)]))
        # A service of 128 bits leaves no room for a name beside it.
        self._device.advertising_data = named if len(named) <= MOST_ADVERTISED else bytes(AdvertisingData(said))

    def _by_service(self, homes: Mapping[str, str]) -> dict[str, list[Characteristic[bytes]]]:
        found: dict[str, list[Characteristic[bytes]]] = {}
        for uuid, characteristic in self._characteristics.items():
            found.setdefault(homes.get(uuid, self.profile.service_uuid), []).append(characteristic)
        return found

    def secure(self, *, passkey: int | None = None) -> None:
        """Before `start`: whoever wants to subscribe needs a bond, made with the `passkey` or, if None, without."""
        for wanted in self._characteristics.values():
            for attribute in self._device.gatt_server.attributes[wanted.handle - 1 : wanted.end_group_handle]:
                if attribute.type == GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR:
                    attribute.permissions |= Characteristic.Permissions.WRITE_REQUIRES_ENCRYPTION
        self.pairing = Bonding(passkey)
        self._device.pairing_config_factory = lambda _connection: PairingConfig(
            sc=True, mitm=passkey is not None, bonding=True, delegate=self.pairing
        )

    async def forget_bonds(self) -> None:
        """As after its batteries were out, or it was given to another hub."""
        assert self._device.keystore is not None  # noqa: S101 - made at `start`
        await self._device.keystore.delete_all()

    async def start(self) -> None:
        """Power on and advertise."""
        self.when_connected(self._listen_anew)
        self.when_connected(self._begin_to_tire)
        await self._device.power_on()
        await self._device.start_advertising(
            auto_restart=True,
            advertising_interval_min=ADVERTISING_INTERVAL_MS,
            advertising_interval_max=ADVERTISING_INTERVAL_MS,
        )

    @property
    def connected(self) -> bool:
        """Whether a central is connected."""
        return bool(self._device.connections)

    async def say(self, characteristic: str, measurements: Sequence[Measurement]) -> Stamp | None:
        """Hand one frame to everybody who subscribed; when that was, or None when nobody did or none confirmed it.

        The journal gets what the profile's decoder reads in the frame. Raises `EncodeError`.
        """
        return await self.hand_over(characteristic, self.profile.encode(characteristic, measurements))

    async def hand_over(self, characteristic: str, payload: bytes, *, longest: int | None = None) -> Stamp | None:
        """As `say`, for bytes, in pieces of at most `longest` bytes each."""
        handed_over = None
        for connection in list(self._device.connections.values()):
            stamp = Stamp.now()
            step = longest or max(len(payload), 1)
            pieces = [payload[at : at + step] for at in range(0, max(len(payload), 1), step)]
            went = [await self._hand_over(connection, self._characteristics[characteristic], piece) for piece in pieces]
            if all(went):
                handed_over = handed_over or stamp
        if handed_over is not None:
            for outcome in self._listener.feed(characteristic, payload):
                if not isinstance(outcome, DecodeError) and outcome.measurements:
                    self._write_down(outcome.measurements, handed_over)
        return handed_over

    def _listen_anew(self) -> None:
        """What it says on this connection, heard as a hub hears it."""
        self._listener = self.profile.listen()
        for uuid in self.profile.reads_first:
            if uuid == MODEL_NUMBER:
                self._listener.feed(uuid, self._model_number.encode())
            elif uuid in self._shows:
                self._listener.feed(uuid, self._shows[uuid]())

    def _write_down(self, members: tuple[Measurement, ...], stamp: Stamp) -> None:
        result = (members, members[0].record)
        if self.keeps and result in self._told:
            return
        self._told.add(result)
        self._journal.record(self.device_id, members, stamp)

    def later(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it after the answer to what a hub is writing now."""
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    def when_connected(self, do: Callable[[], None]) -> None:
        """At the beginning of each connection."""
        self._device.on(self._device.EVENT_CONNECTION, lambda _connection: do())

    def _begin_to_tire(self) -> None:
        if self.awake_seconds is not None:
            self.later(self._fall_asleep(self.awake_seconds))

    async def _fall_asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.vanish()

    async def drop(self) -> None:
        """End the connection from this side."""
        for connection in list(self._device.connections.values()):
            await connection.disconnect()

    def vanish(self) -> None:
        """Out of range."""
        self._air.take_away(self._controller)

    def reappear(self) -> None:
        """In range again, and advertising."""
        self._air.bring_back(self._controller)

    async def stop(self) -> None:
        """Gone for good."""
        self.vanish()
        await self._device.stop_advertising()

    def _battery_level(self) -> Characteristic[bytes]:
        return Characteristic(
            _uuid(battery_service.LEVEL),
            Characteristic.Properties.READ,
            Characteristic.Permissions.READABLE,
            CharacteristicValue(read=lambda _connection: battery_service.encode_level(self.battery_percent)),
        )

    async def _hand_over(self, connection: Connection, characteristic: Characteristic[bytes], payload: bytes) -> bool:
        server = self._device.gatt_server
        subscription = server.subscribers.get(connection, {}).get(characteristic.handle, b"")
        wants = subscription[0] if subscription else 0
        if characteristic.properties & Characteristic.Properties.NOTIFY:
            if not wants & _NOTIFIES:
                return False
            await server.notify_subscriber(connection, characteristic, payload)
            return await self._has_left(connection)
        if not wants & _INDICATES:
            return False
        return await self._indicate(connection, characteristic, payload)

    async def _has_left(self, connection: Connection) -> bool:
        """Wait until the controllers have the packet: what is still in the host is lost when the link ends."""
        queue = self._device.host.get_data_packet_queue(connection.handle)
        if queue is None:
            return False
        # A queue that knows the connection no more raises: the link has just ended.
        with contextlib.suppress(ValueError):
            await queue.drain(connection.handle)
        return connection.handle in self._device.connections

    async def _indicate(self, connection: Connection, characteristic: Characteristic[bytes], payload: bytes) -> bool:
        """Whether it was confirmed. Bumble would go on waiting after the link is gone."""
        gone = asyncio.get_running_loop().create_future()

        def on_disconnection(_reason: int) -> None:
            if not gone.done():
                gone.set_result(None)

        connection.on(connection.EVENT_DISCONNECTION, on_disconnection)
        task = asyncio.ensure_future(self._device.gatt_server.indicate_subscriber(connection, characteristic, payload))
        try:
            await asyncio.wait({task, gone}, timeout=CONFIRMATION_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return task.done() and task.exception() is None
        finally:
            task.cancel()
            connection.remove_listener(connection.EVENT_DISCONNECTION, on_disconnection)


def characteristics_of(
    said: Mapping[str, Characteristic.Properties],
    heeds: Mapping[str, Heed],
    shows: Mapping[str, Callable[[], bytes]],
) -> dict[str, Characteristic[bytes]]:
    """One characteristic each, with the properties of all three."""
    made = {}
    for uuid in dict.fromkeys((*said, *heeds, *shows)):
        properties, permissions = said.get(uuid, Characteristic.Properties(0)), Characteristic.Permissions(0)
        read = write = None
        if uuid in shows:
            properties |= Characteristic.Properties.READ
            permissions |= Characteristic.Permissions.READABLE
            read = _reading(shows[uuid])
        if uuid in heeds:
            properties |= _WRITTEN
            permissions |= Characteristic.Permissions.WRITEABLE
            write = _writing(heeds[uuid])
        value = CharacteristicValue(read=read, write=write) if read or write else b""
        made[uuid] = Characteristic(_uuid(uuid), properties, permissions, value)
    return made


def _reading(show: Callable[[], bytes]) -> Callable[[Connection], bytes]:
    return lambda _connection: show()


def _writing(heed: Heed) -> Callable[[Connection, bytes], None]:
    def write(_connection: Connection, value: bytes) -> None:
        try:
            heed(bytes(value))
        except RefusedError as refused:
            raise ATT_Error(ErrorCode(refused.code)) from refused

    return write


def _service_list(uuid: UUID) -> DataType:
    if len(uuid.uuid_bytes) == 2:
        return data_types.CompleteListOf16BitServiceUUIDs([uuid])
    return data_types.CompleteListOf128BitServiceUUIDs([uuid])


def _uuid(text: str) -> UUID:
    """The 16 bit form where the SIG assigned one: that is what devices advertise."""
    return UUID.from_16_bits(int(text[4:8], 16)) if text == sig_uuid(int(text[4:8], 16)) else UUID(text)
