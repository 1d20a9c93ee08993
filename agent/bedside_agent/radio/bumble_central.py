"""A backend for bleak that drives a Bluetooth controller by itself, over any HCI transport Bumble knows.

For machines without BlueZ: the simulator's virtual adapter over TCP, or a USB dongle. It answers as the BlueZ
backend does (128 bit lower-case UUIDs, the same errors). When the transport dies, every connection is reported lost,
and the transport is opened again with growing pauses; whoever was scanning then scans again.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakError,
    BleakGATTProtocolError,
)
from bumble import att, core, hci
from bumble.core import AdvertisingData
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import Transport, TransportLostError

from bedside_agent.radio.bumble_bonds import BumbleBonds
from bedside_agent.radio.bumble_client import BumbleClient, uuid_text

Opener = Callable[[], Awaitable[Transport]]

OWN_ADDRESS = "C0:BE:D5:1D:E0:01"
"""A static random address: the hub is a central and nobody looks for it."""

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
POWER_ON_SECONDS = 10.0

_T = TypeVar("_T")

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


def transport_opener(spec: str) -> Opener:
    """Opens a Bumble transport by its name, such as `tcp-client:127.0.0.1:9123` or `usb:0`."""
    return lambda: open_transport(spec)


class BumbleRadio:
    """One controller. `scanner` and `client` are the classes for bleak's `backend` arguments.

    Made within a running event loop; `close` must be awaited at the end. The keys of its bonds are kept in the file
    `keys`; None forgets them with the radio.
    """

    def __init__(self, opener: Opener, *, jitter: random.Random, keys: Path | None = None) -> None:
        self.bonds = BumbleBonds(keys, self._client_of)
        self.known: dict[str, hci.Address] = {}
        """Addresses heard since start: bleak keeps the text alone, the controller needs the kind of address too."""
        self.scanner: type[BaseBleakScanner] = type("BumbleScanner", (_Scanner,), {"radio": self})
        self.client: type[BaseBleakClient] = type("BumbleClient", (BumbleClient,), {"radio": self})
        self._opener = opener
        self._jitter = jitter
        self._device: Device | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._resetting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._why = "not opened yet"
        self._listeners: set[Callable[[Advertisement], None]] = set()
        self._clients: set[BumbleClient] = set()
        self._clearing_up: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._tried = asyncio.Event()
        self._task = asyncio.create_task(self._keep_open(), name="bumble transport")

    async def ready(self) -> None:
        """Return when the controller answers."""
        await self._up.wait()

    async def tried(self) -> None:
        """Return when the first attempt to open the transport has succeeded or failed."""
        await self._tried.wait()

    async def reset(self) -> None:
        """Close the transport and open it again, which resets the controller."""
        if not self._resetting.done():
            self._resetting.set_result(None)

    async def close(self) -> None:
        """End all connections and give the transport back."""
        for client in list(self._clients):
            with contextlib.suppress(BleakError, TimeoutError):
                async with asyncio.timeout(1):
                    await client.disconnect()
        if self._clearing_up is not None:
            await asyncio.wait({self._clearing_up})
        self._task.cancel()
        await asyncio.wait({self._task})

    @property
    def device(self) -> Device:
        """The host side of the controller. Raises bleak's error for a missing adapter while there is none."""
        if self._task.done():
            self._task.result()  # a fault of the program; it must be seen, not waited for
        if self._device is None:
            raise BleakBluetoothNotAvailableError(self._why, BleakBluetoothNotAvailableReason.UNKNOWN)
        return self._device

    async def listen(self, listener: Callable[[Advertisement], None]) -> None:
        """Hand every advertisement to `listener`, also after the transport has been lost and found again."""
        device = self.device
        self._listeners.add(listener)
        if len(self._listeners) == 1:
            await self.answer(device.start_scanning(active=True, filter_duplicates=False))

    async def unlisten(self, listener: Callable[[Advertisement], None]) -> None:
        """The opposite of `listen`."""
        self._listeners.discard(listener)
        if not self._listeners and self._device is not None:
            await self.answer(self._device.stop_scanning())

    async def answer(self, work: Coroutine[Any, Any, _T], ended: asyncio.Future[None] | None = None) -> _T:
        """The result of `work`, or an error as bleak has it as soon as the radio (or the connection) is gone.

        A controller that is gone answers nothing, and Bumble would wait for ever.
        """
        lost = self._lost
        task = asyncio.ensure_future(work)
        watched: set[asyncio.Future[Any]] = {task, lost}
        if ended is not None:
            watched.add(ended)
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not task.cancelled():
                return task.result()
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error
        except TransportLostError as error:
            why = f"the transport was lost: {error}"
            raise BleakBluetoothNotAvailableError(why, BleakBluetoothNotAvailableReason.UNKNOWN) from error
        except core.BaseBumbleError as error:
            raise BleakError(f"{type(error).__name__}: {error}") from error
        finally:
            if not task.done():
                task.cancel()
        if lost.done():
            raise BleakBluetoothNotAvailableError(self._why, BleakBluetoothNotAvailableReason.UNKNOWN)
        raise BleakError("disconnected")

    async def connect(self, address: hci.Address, client: BumbleClient) -> Connection:
        """Connect without a limit of time; when cancelled, the attempt is taken back."""
        if self._clearing_up is not None:
            await asyncio.wait({self._clearing_up})
        device = self.device
        task = asyncio.ensure_future(device.connect(address, timeout=None))
        try:
            connection = await self.answer(_shielded(task))
        except asyncio.CancelledError:
            # A task of its own: whoever is cancelled once may be cancelled twice.
            self._clearing_up = asyncio.create_task(self._take_back(device, task))
            await asyncio.wait({self._clearing_up})
            raise
        self._clients.add(client)
        return connection

    def forget(self, client: BumbleClient) -> None:
        """The client's connection has ended."""
        self._clients.discard(client)

    async def _take_back(self, device: Device, task: asyncio.Task[Connection]) -> None:
        """An attempt left pending in the controller would refuse every later one."""
        try:
            with contextlib.suppress(BleakError):
                await self.answer(device.cancel_connection())  # type: ignore[no-untyped-call]
                await self.answer(_outcome(task))
                if task.exception() is None:
                    await self.answer(task.result().disconnect())
        finally:
            # The radio may be gone in the middle of it; an attempt that nobody waits for must not linger.
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _keep_open(self) -> None:
        failures = 0
        while True:
            try:
                async with asyncio.timeout(POWER_ON_SECONDS):
                    transport = await self._opener()
            except (OSError, ValueError, core.BaseBumbleError) as error:
                self._why = f"the transport does not open: {error}"
            else:
                try:
                    await self._power_on(transport)
                    failures = 0
                    self._resetting = asyncio.get_running_loop().create_future()
                    lost = transport.source.terminated
                    ends: set[asyncio.Future[Any]] = {lost, self._resetting}
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    if lost.done():
                        lost.result()
                    self._why = "the transport was lost"
                except (OSError, TimeoutError, core.BaseBumbleError) as error:
                    self._why = f"the controller does not answer: {error}"
                finally:
                    self._gone()
                    await transport.close()
            self._tried.set()
            failures += 1
            step = min(FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 8), LONGEST_WAIT_SECONDS)
            await asyncio.sleep(step * (0.5 + 0.5 * self._jitter.random()))

    async def _power_on(self, transport: Transport) -> None:
        host = Host(transport.source, transport.sink)
        device = Device(config=DeviceConfiguration(name="hub", address=hci.Address(OWN_ADDRESS)), host=host)
        device.keystore = self.bonds.keys
        device.pairing_config_factory = self.bonds.configuration
        async with asyncio.timeout(POWER_ON_SECONDS):
            await device.power_on()
            if self._listeners:
                await device.start_scanning(active=True, filter_duplicates=False)
        device.on(device.EVENT_ADVERTISEMENT, self._on_advertisement)
        self._lost = asyncio.get_running_loop().create_future()
        self._device = device
        self._up.set()
        self._tried.set()

    def _client_of(self, address: str) -> BumbleClient | None:
        return next((one for one in self._clients if one.address == address), None)

    def _gone(self) -> None:
        self._device = None
        self._up.clear()
        if not self._lost.done():
            self._lost.set_result(None)
        for client in list(self._clients):
            client.ended()

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        self.known[_text(advertisement.address)] = advertisement.address
        for listener in list(self._listeners):
            listener(advertisement)


async def _shielded(task: asyncio.Task[_T]) -> _T:
    return await asyncio.shield(task)


async def _outcome(task: asyncio.Task[Connection]) -> None:
    await asyncio.wait({task})


def _text(address: hci.Address) -> str:
    return address.to_string(False)


def _advertisement_data(advertisement: Advertisement) -> AdvertisementData:
    def all_of(*types: AdvertisingData.Type) -> list[Any]:
        return [found for kind in types for found in advertisement.data.get_all(kind)]

    return AdvertisementData(
        local_name=next(iter(all_of(*_NAMES)), None),
        manufacturer_data={
            company: bytes(data) for company, data in all_of(AdvertisingData.Type.MANUFACTURER_SPECIFIC_DATA)
        },
        service_data={uuid_text(uuid): bytes(data) for uuid, data in all_of(*_SERVICE_DATA)},
        # An answer to an active scan may repeat what the advertisement itself said.
        service_uuids=list(dict.fromkeys(uuid_text(uuid) for uuids in all_of(*_UUID_LISTS) for uuid in uuids)),
        tx_power=next(iter(all_of(AdvertisingData.Type.TX_POWER_LEVEL)), None),
        rssi=advertisement.rssi,
        platform_data=(advertisement,),
    )


class _Scanner(BaseBleakScanner):
    radio: BumbleRadio

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        _scanning_mode: str,
        **_kwargs: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        await self.radio.listen(self._on_advertisement)

    async def stop(self) -> None:
        await self.radio.unlisten(self._on_advertisement)

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        data = _advertisement_data(advertisement)
        if not self.is_allowed_uuid(data.service_uuids):
            return
        address = _text(advertisement.address)
        device = self.create_or_update_device(address, address, data.local_name, advertisement.address, data)
        self.call_detection_callbacks(device, data)
