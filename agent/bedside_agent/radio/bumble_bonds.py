"""Bonds with a radio that Bumble drives: where their keys are kept, and how a device is paired with."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bleak.backends.device import BLEDevice
from bumble.device import Connection
from bumble.keys import KeyStore, MemoryKeyStore, PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate

from bedside_agent.radio.central import NO_PAIRING, Denial, Pairing, PairingFailedError
from bedside_agent.whole_file import write_whole

KEY_FILE_MODE = 0o600


class KeyFile(KeyStore):
    """The keys of all bonds in one file that only its owner can read. A file that is damaged is as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = self._read()

    async def get(self, name: str) -> PairingKeys | None:
        """The keys of the device with this address."""
        return self._keys.get(name)

    async def get_all(self) -> list[tuple[str, PairingKeys]]:
        """All of them."""
        return list(self._keys.items())

    async def update(self, name: str, keys: PairingKeys) -> None:
        """Replace the keys of a device; OSError leaves those on the disk as they were."""
        self._keys[name] = keys
        await self._write()

    async def delete(self, name: str) -> None:
        """Forget the keys of a device; nothing if there are none."""
        if self._keys.pop(name, None) is not None:
            await self._write()

    def _read(self) -> dict[str, PairingKeys]:
        try:
            told = json.loads(self._path.read_text())
            return {name: PairingKeys.from_dict(keys) for name, keys in told.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # The devices are paired anew, as after any other loss of a bond.
            return {}

    async def _write(self) -> None:
        text = json.dumps({name: keys.to_dict() for name, keys in self._keys.items()}, indent=1)
        await asyncio.to_thread(write_whole, self._path, text.encode(), mode=KEY_FILE_MODE)


class _Delegate(PairingDelegate):
    """What the hub answers while it pairs."""

    def __init__(self, pairing: Pairing) -> None:
        super().__init__(self.NO_OUTPUT_NO_INPUT if pairing.passkey is None else self.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT)
        self._pairing = pairing

    async def accept(self) -> bool:
        """Whether a device that asks for a bond by itself gets one."""
        return self._pairing.is_allowed

    async def confirm(self, auto: bool = False) -> bool:
        """Pairing without a passkey."""
        return self._pairing.is_allowed and self._pairing.passkey is None

    async def compare_numbers(self, number: int, digits: int) -> bool:
        """Both show a number, and are the same only if no stranger stands between them."""
        return number == await self.get_number()

    async def get_number(self) -> int | None:
        """The passkey that the device shows."""
        return None if self._pairing.passkey is None else await self._pairing.passkey()


class Paired(Protocol):
    """A connection that can be paired over."""

    async def pair(self) -> None: ...

    async def disconnect(self) -> None: ...


class BumbleBonds:
    """See `bleak_link.Bonds`. `connected` gives the client that is connected with an address, or None."""

    def __init__(self, keys: Path | None, connected: Callable[[str], Paired | None]) -> None:
        self.keys: KeyStore = MemoryKeyStore() if keys is None else KeyFile(keys)
        self._connected = connected
        self._pairings: dict[str, Pairing] = {}

    def configuration(self, connection: Connection) -> PairingConfig:
        """How Bumble pairs over this connection."""
        pairing = self._pairings.get(connection.peer_address.to_string(False), NO_PAIRING)
        return PairingConfig(
            sc=True,
            mitm=pairing.passkey is not None,
            bonding=True,
            delegate=_Delegate(pairing),
            # The address that the hub connects with; by an adapter's public one the device would not know it again.
            identity_address_type=PairingConfig.AddressType.RANDOM,
        )

    async def expect(self, device: BLEDevice, pairing: Pairing) -> None:
        """See `Bonds`."""
        self._pairings[device.address] = pairing

    def over(self, device: BLEDevice) -> None:
        """See `Bonds`."""
        self._pairings.pop(device.address, None)

    async def is_bonded(self, device: BLEDevice) -> bool:
        """See `Bonds`."""
        return bool(await self._names(device))

    async def pair(self, device: BLEDevice) -> None:
        """See `Bonds`."""
        if not self._pairings.get(device.address, NO_PAIRING).is_allowed:
            raise PairingFailedError("pair: not allowed with this device")
        client = self._connected(device.address)
        if client is None:
            raise PairingFailedError("pair: the connection ended")
        await client.pair()

    async def forget(self, device: BLEDevice) -> None:
        """See `Bonds`."""
        for name in await self._names(device):
            await self.keys.delete(name)
        client = self._connected(device.address)
        if client is not None:
            await client.disconnect()

    async def was_refused(self, device: BLEDevice) -> bool:
        """See `Bonds`: the link is encrypted while it is made, and says then that the key is refused."""
        return False

    def denial(self, device: BLEDevice) -> Denial | None:
        """See `Bonds`: the device's own refusal is told, because nothing pairs unasked."""
        return None

    async def close(self) -> None:
        """See `Bonds`."""

    async def _names(self, device: BLEDevice) -> list[str]:
        """Bumble's names of the device: its address, with the kind of address behind it."""
        return [name for name, _ in await self.keys.get_all() if name.partition("/")[0] == device.address]
