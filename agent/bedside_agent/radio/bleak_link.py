"""One connection through bleak, and bleak's errors as ours."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

from bleak import BleakClient
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)

from bedside_agent.radio.central import (
    AccessRefusedError,
    CallTimedOutError,
    CharacteristicMissingError,
    ConnectFailedError,
    Denial,
    KeyRefusedError,
    LinkLostError,
    Pairing,
    PairingFailedError,
    RadioBusyError,
    RadioError,
    RadioUnavailableError,
)

INSUFFICIENT_AUTHENTICATION = 0x05
ATT_HEADER_BYTES = 3

log = logging.getLogger(__name__)

_WRITES = frozenset({"write", "write-without-response"})

_UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
"""Of a link it says that the link has ended: its services are on the bus as long as it stands."""

_SERVICE_GONE = frozenset(
    {
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        _UNKNOWN_OBJECT,
        "org.bluez.Error.NotReady",
    }
)
"""What D-Bus says while bluetoothd restarts or the adapter is off; `is_connected` stays true all the while."""

_NOT_CONNECTED = frozenset({("org.bluez.Error.Failed", "Not connected"), ("org.bluez.Error.NotConnected", None)})
"""BlueZ's answer may overtake its word that the link has ended: they come on two connections."""


class Bonds(Protocol):
    """What a radio knows of bonds, which bleak does not tell. Every call may raise `RadioError`."""

    async def expect(self, device: BLEDevice, pairing: Pairing) -> None:
        """The device is about to be connected; `pairing` is what it may have. Raises nothing."""
        ...

    def over(self, device: BLEDevice) -> None:
        """Its connection has ended, or did not come about: it may not pair any more until it is expected again."""
        ...

    async def is_bonded(self, device: BLEDevice) -> bool:
        """See `central.Central`."""
        ...

    async def pair(self, device: BLEDevice) -> None:
        """Without a limit of time. Raises `PairingFailedError`."""
        ...

    async def forget(self, device: BLEDevice) -> None:
        """Remove the bond, if there is one."""
        ...

    async def was_refused(self, device: BLEDevice) -> bool:
        """Whether the connection that has just ended did so because the device does not know the key."""
        ...

    def denial(self, device: BLEDevice) -> Denial | None:
        """Why this hub made no bond when, on this connection, the radio was about to make one by itself."""
        ...

    async def close(self) -> None:
        """Nothing may be called afterwards."""
        ...


class BleakLink:
    """See `central.Link`. `on_ended` is called when it was disconnected, and nothing more is owed to it."""

    def __init__(
        self,
        device: BLEDevice,
        on_lost: Callable[[], None],
        on_ended: Callable[["BleakLink"], None],
        backend: type[BaseBleakClient] | None,
        bonds: Bonds | None,
    ) -> None:
        self._device = device
        self._on_lost = on_lost
        self._on_ended = on_ended
        self._bonds = bonds
        self._over = False
        self._may_pair = True
        self._client = BleakClient(device, self._on_disconnected, backend=backend)

    @property
    def address(self) -> str:
        """See `central.Link`."""
        return self._device.address

    @property
    def is_wanted(self) -> bool:
        """Neither lost nor ended by whoever asked for it."""
        return not self._over

    async def connect(self, timeout_seconds: float) -> None:
        """Raises `RadioError`; then nothing of the connection is left."""
        try:
            async with self._explained("connect", timeout_seconds):
                async with asyncio.timeout(timeout_seconds):
                    # bleak's own limit is the later one: two that strike at once cancel each other's clearing up.
                    await self._client.connect(timeout=2 * timeout_seconds)
        except (LinkLostError, CallTimedOutError) as error:
            raise ConnectFailedError(self.address, error.reason) from error
        log.debug("radio.connected", extra={"address": self.address, "mtu_bytes": self._mtu_bytes()})

    def offers(self, characteristic: str) -> bool:
        """See `central.Link`."""
        if not self._stands():
            raise LinkLostError("the connection ended")
        return self._client.services.get_characteristic(characteristic) is not None

    async def subscribe(self, characteristic: str, hear: Callable[[bytes], None], *, timeout_seconds: float) -> None:
        """See `central.Link`."""
        async with self._explained("subscribe", timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                await self._client.start_notify(characteristic, lambda _, value: hear(bytes(value)))

    async def read(self, characteristic: str, *, timeout_seconds: float) -> bytes:
        """See `central.Link`."""
        async with self._explained("read", timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                return bytes(await self._client.read_gatt_char(characteristic))

    async def write(
        self, characteristic: str, payload: bytes, *, timeout_seconds: float, acknowledged: bool = True
    ) -> None:
        """See `central.Link`."""
        async with self._explained("write", timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                found = self._client.services.get_characteristic(characteristic)
                kinds = set() if found is None else set(found.properties) & _WRITES
                if kinds:
                    acknowledged = "write" in kinds and (acknowledged or len(kinds) == 1)
                await self._client.write_gatt_char(characteristic, payload, response=acknowledged)

    async def is_bonded(self, *, timeout_seconds: float) -> bool:
        """See `central.Link`."""
        if self._bonds is None:
            return False
        with self._translated("look for a bond", timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                return await self._bonds.is_bonded(self._device)

    async def pair(self, *, timeout_seconds: float) -> None:
        """See `central.Link`."""
        if self._bonds is None:
            raise PairingFailedError("this radio cannot pair")
        try:
            async with self._explained("pair", timeout_seconds), asyncio.timeout(timeout_seconds):
                await self._bonds.pair(self._device)
        except CallTimedOutError as error:
            raise PairingFailedError(error.reason) from error

    async def disconnect(self, *, timeout_seconds: float) -> None:
        """See `central.Link`."""
        self._over = True
        self._on_ended(self)
        self.end_pairing()
        # Also when the link has ended already: bleak gives its connection to the system bus back here alone.
        with self._translated("disconnect", timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                await self._client.disconnect()

    def end_pairing(self) -> None:
        """This connection asks for no bond any more; a later one of the same device may."""
        if self._bonds is not None and self._may_pair:
            self._may_pair = False
            self._bonds.over(self._device)

    def end(self) -> None:
        """The connection is gone, whatever bleak says."""
        if not self._over:
            self._over = True
            self._on_lost()

    def _on_disconnected(self, _client: BleakClient) -> None:
        self.end()

    @contextlib.contextmanager
    def _translated(self, operation: str, seconds: float) -> Iterator[None]:
        try:
            with translated(operation, seconds, is_connected=self._stands):
                yield
        except RadioUnavailableError as error:
            cause = error.__cause__
            if isinstance(cause, BleakDBusError) and cause.dbus_error == _UNKNOWN_OBJECT:
                raise LinkLostError(error.reason) from cause
            raise

    def _mtu_bytes(self) -> int | None:
        """What both sides agreed on; None where it is not told, as by BlueZ before 5.62.

        bleak itself asks BlueZ for it only when it is told to, and warns otherwise.
        """
        services = self._client.services if self._stands() else ()
        told = [one.max_write_without_response_size for service in services for one in service.characteristics]
        return max(told) + ATT_HEADER_BYTES if told else None

    @asynccontextmanager
    async def _explained(self, operation: str, seconds: float) -> AsyncIterator[None]:
        """What `_translated` says; why nobody answered, or why the link ended, where that can be known."""
        try:
            with self._translated(operation, seconds):
                yield
        except (CallTimedOutError, LinkLostError) as error:
            if self._bonds is None:
                raise
            denial = self._bonds.denial(self._device)
            if denial is Denial.MAY_NOT_PAIR:
                raise AccessRefusedError(operation, INSUFFICIENT_AUTHENTICATION) from error
            if denial is Denial.PASSKEY_UNKNOWN:
                raise PairingFailedError(f"{operation}: {denial.value}") from error
            if isinstance(error, LinkLostError) and await self._bonds.was_refused(self._device):
                raise KeyRefusedError("the device does not know the key of its bond with this hub") from error
            raise

    def _stands(self) -> bool:
        return self._client.is_connected and not self._over


@contextlib.contextmanager
def translated(operation: str, seconds: float, is_connected: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """bleak's errors as ours. What bleak says only in words is told apart by whether the link still stands."""
    try:
        yield
    except RadioError:
        # What our own backends say in our words.
        raise
    except TimeoutError as error:
        raise CallTimedOutError(operation, seconds) from error
    except BleakGATTProtocolError as error:
        raise AccessRefusedError(operation, int(error.code)) from error
    except BleakCharacteristicNotFoundError as error:
        raise CharacteristicMissingError(str(error.char_specifier)) from error
    except BleakDeviceNotFoundError as error:
        raise ConnectFailedError(error.identifier, f"{operation}: the device is no longer there") from error
    except BleakBluetoothNotAvailableError as error:
        raise RadioUnavailableError(f"{operation}: {error.args[0]}") from error
    except BleakDBusError as error:
        if error.dbus_error in _SERVICE_GONE:
            raise RadioUnavailableError(f"{operation}: {error.dbus_error}") from error
        if error.dbus_error == "org.bluez.Error.InProgress":
            raise RadioBusyError(f"{operation}: {error.dbus_error}") from error
        if (error.dbus_error, error.dbus_error_details) == ("org.bluez.Error.NotPermitted", "Not paired"):
            # One answer for three of the device's: all of them ask for a bond.
            raise AccessRefusedError(operation, INSUFFICIENT_AUTHENTICATION) from error
        if {(error.dbus_error, error.dbus_error_details), (error.dbus_error, None)} & _NOT_CONNECTED:
            raise LinkLostError(f"{operation}: {error}") from error
        raise (RadioError if is_connected() else LinkLostError)(f"{operation}: {error}") from error
    except BleakError as error:
        raise (RadioError if is_connected() else LinkLostError)(f"{operation}: {error}") from error
    except (OSError, EOFError) as error:
        raise RadioUnavailableError(f"{operation}: {type(error).__name__}: {error}") from error
    except Exception as error:
        # bleak lets its backends' own errors through, such as a KeyError for an object that D-Bus removed under it.
        # Whatever comes out of the radio is the radio's trouble, and no reason to end the reading of other devices.
        raise RadioError(f"{operation}: {type(error).__name__}: {error}") from error
