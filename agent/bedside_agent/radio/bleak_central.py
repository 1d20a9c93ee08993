"""The radio through bleak: BlueZ on a Pi, or a backend of our own behind the same calls (`bumble_central`).

One scanner serves all who search; connections are made one at a time, as adapters do it anyway. Every call has a
time-out, because a read of a protected characteristic without a pairing agent was seen to hang for minutes. With
BlueZ, `bluez_watch` tells what bleak does not.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from bleak import BleakAdapter, BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

from bedside_agent.radio.bleak_link import BleakLink, Bonds, translated
from bedside_agent.radio.central import (
    NO_PAIRING,
    ConnectFailedError,
    DeviceNotFoundError,
    Found,
    Link,
    Pairing,
    RadioError,
    RadioUnavailableError,
    Target,
)
from bedside_agent.radio.signs import CONNECT, SCAN, Signs, Trouble

if TYPE_CHECKING:
    from bedside_agent.radio.bluez_watch import BluezWatch

SCAN_START_SECONDS = 10.0
TAKE_BACK_SECONDS = 5.0
FRESH_SECONDS = 3.0
"""How long who was heard counts as there. BlueZ tells of an advertiser once in ten seconds of a scan, and that may have
fallen into the short pause after a lost link."""

POWER_SECONDS = 20.0
BOND_SECONDS = 5.0
CLOSE_SECONDS = 1.0
UNKNOWN_RSSI_DBM = -127


class Radio(Protocol):
    """A backend that bleak drives in the place of the platform's own."""

    @property
    def scanner(self) -> type[BaseBleakScanner]: ...

    @property
    def client(self) -> type[BaseBleakClient]: ...

    @property
    def bonds(self) -> Bonds: ...

    async def reset(self) -> None: ...

    async def close(self) -> None: ...


class BleakCentral:
    """See `central.Central`. `radio` is None for the platform's own backend, and then `adapter` is BlueZ's name of one.

    `name` is what the settings call it.
    """

    def __init__(self, radio: Radio | None = None, *, adapter: str | None = None, name: str = "") -> None:
        self.name = name
        self.signs = Signs()
        self._radio = radio
        self._adapter = adapter
        self._watch = _watch_over_bluez(self._on_gone, adapter) if radio is None else None
        self._bonds: Bonds | None = _bonds_over_bluez() if radio is None else radio.bonds
        self._links: set[BleakLink] = set()
        self._waiting: dict[asyncio.Future[Found], Target] = {}
        self._listening: dict[asyncio.Future[None], Callable[[Found], None]] = {}
        self._devices: dict[str, BLEDevice] = {}
        self._scanner: BleakScanner | None = None
        self._scanner_is_deaf = False
        self._scanner_tells_all = False
        self._scanner_lock = asyncio.Lock()
        self._heard_at = float("-inf")
        self._heard: dict[str, tuple[float, Found, BLEDevice]] = {}
        self._connecting = asyncio.Lock()
        self._taking_back: asyncio.Task[None] | None = None

    async def scan(self, *, seconds: float) -> tuple[Found, ...]:
        """See `central.Central`."""
        heard: dict[str, Found] = {}

        def hear(found: Found) -> None:
            heard[found.address] = found

        await self.listen(hear, seconds=seconds)
        return tuple(sorted(heard.values(), key=lambda found: -found.rssi_dbm))

    async def listen(self, hear: Callable[[Found], None], *, seconds: float) -> None:
        """See `central.Central`."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._listening[gone] = hear
        try:
            await self._scan_while_wanted()
            async with asyncio.timeout(seconds):
                await gone
        except TimeoutError:
            await self._give_up_silent_scanner(seconds)
        finally:
            del self._listening[gone]
            await self._scan_while_wanted()

    async def find(self, target: Target, *, timeout_seconds: float) -> Found:
        """See `central.Central`."""
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        # Whoever stops searching for another reason has no use for this one.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting[future] = target
        try:
            await self._scan_while_wanted()
            here = self._just_heard(target) or await self._already_connected(target)
            if here is not None:
                return here
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            await self._give_up_silent_scanner(timeout_seconds)
            raise DeviceNotFoundError(timeout_seconds) from None
        finally:
            del self._waiting[future]
            await self._scan_while_wanted()

    async def connect(
        self,
        found: Found,
        on_lost: Callable[[], None],
        *,
        timeout_seconds: float,
        pairing: Pairing = NO_PAIRING,
    ) -> Link:
        """See `central.Central`."""
        device = self._known(found)
        client = None if self._radio is None else self._radio.client
        link = BleakLink(device, on_lost, self._links.discard, client, self._bonds)
        # From here on it is taken: whoever looks for another of its name does not find this one.
        self._links.add(link)
        try:
            if self._bonds is not None:
                await self._bonds.expect(device, pairing)
            async with self._connecting, self._noted(CONNECT):
                await self._calmly(link, timeout_seconds)
        except BaseException:
            self._links.discard(link)
            link.end_pairing()
            raise
        finally:
            # What was heard says nothing of the time after the connection, or after an attempt that was in vain.
            self._heard.pop(found.address, None)
        return link

    async def is_bonded(self, found: Found) -> bool:
        """See `central.Central`."""
        if self._bonds is None:
            return False
        with translated("look for a bond", BOND_SECONDS):
            async with asyncio.timeout(BOND_SECONDS):
                return await self._bonds.is_bonded(self._known(found))

    async def forget_bond(self, found: Found) -> None:
        """See `central.Central`."""
        if self._bonds is None:
            return
        with translated("remove a bond", BOND_SECONDS):
            async with asyncio.timeout(BOND_SECONDS):
                await self._bonds.forget(self._known(found))
        # BlueZ has forgotten the device with its bond.
        self._devices.pop(found.address, None)
        self._heard.pop(found.address, None)

    def trouble(self, now: float) -> Trouble | None:
        """What is wrong with the adapter now, on the event loop's clock; None when nothing is known to be."""
        return self.signs.trouble(now, has_links=bool(self._taken()))

    async def restart_scan(self) -> None:
        """Stop the scan, and begin a new one where somebody searches. Raises `RadioError`."""
        self._scanner_is_deaf = True
        await self._scan_while_wanted()

    async def power_cycle(self) -> None:
        """Switch the adapter off and on; all its connections end. Raises `RadioError`."""
        if self._radio is not None:
            await self._radio.reset()
        elif self._watch is not None:
            with translated("power-cycle", POWER_SECONDS):
                async with asyncio.timeout(POWER_SECONDS):
                    await self._watch.begin()
                    await self._watch.power_cycle()

    async def close(self) -> None:
        """See `central.Central`."""
        async with self._scanner_lock:
            await self._stop_scanner()
        # BlueZ would keep them after this program has ended.
        for link in list(self._links):
            with contextlib.suppress(RadioError):
                await link.disconnect(timeout_seconds=CLOSE_SECONDS)
        if self._bonds is not None:
            await self._bonds.close()
        if self._watch is not None:
            await self._watch.close()
        if self._radio is not None:
            await self._radio.close()

    def _known(self, found: Found) -> BLEDevice:
        device = self._devices.get(found.address)
        if device is None:
            raise ConnectFailedError(found.address, "never heard by this radio")
        return device

    def _new_scanner(self, *, tells_all: bool) -> BleakScanner:
        if self._radio is not None:
            return BleakScanner(self._on_advertisement, backend=self._radio.scanner)
        # Who is searched for is named once; who says something new in each advertisement is heard out.
        bluez: BlueZScannerArgs = {"filters": {"DuplicateData": tells_all}}
        if self._adapter is not None:
            bluez["adapter"] = self._adapter
        return BleakScanner(self._on_advertisement, bluez=bluez)

    def _found(self, device: BLEDevice, data: AdvertisementData) -> Found:
        return Found(
            device.address,
            data.local_name or device.name,
            tuple(data.service_uuids),
            data.rssi,
            dict(data.service_data),
            dict(data.manufacturer_data),
            adapter=self.name,
        )

    async def _scan_while_wanted(self) -> None:
        """Start the scanner when somebody searches, stop it when nobody does. Only starting can fail."""
        async with self._scanner_lock:
            if self._scanner_is_deaf or (self._listening and not self._scanner_tells_all):
                await self._stop_scanner()
            if self._is_wanted and self._scanner is None:
                async with self._noted(SCAN):
                    tells_all = bool(self._listening)
                    self._scanner = await self._started_scanner(tells_all=tells_all)
                    self._scanner_tells_all = tells_all
            if self._is_wanted:
                self.signs.searching(asyncio.get_running_loop().time())
            else:
                await self._stop_scanner()

    @property
    def _is_wanted(self) -> bool:
        return bool(self._waiting or self._listening)

    async def _started_scanner(self, *, tells_all: bool) -> BleakScanner:
        with translated("start of the scan", SCAN_START_SECONDS):
            if self._watch is not None:
                await self._watch.begin()
            scanner = self._new_scanner(tells_all=tells_all)
            async with asyncio.timeout(SCAN_START_SECONDS):
                await scanner.start()
            return scanner

    @asynccontextmanager
    async def _noted(self, what: str) -> AsyncIterator[None]:
        """How it went is a sign of how the adapter is."""
        loop = asyncio.get_running_loop()
        try:
            yield
        except RadioError as error:
            self.signs.failed(what, error, loop.time())
            raise
        self.signs.went_well(what, loop.time())

    def _taken(self) -> frozenset[str]:
        """The addresses that somebody here is connected with, or about to be."""
        return frozenset(link.address for link in self._links if link.is_wanted)

    def _just_heard(self, target: Target) -> Found | None:
        oldest = asyncio.get_running_loop().time() - FRESH_SECONDS
        self._heard = {address: heard for address, heard in self._heard.items() if heard[0] >= oldest}
        for _, found, device in self._heard.values():
            if found.address not in self._taken() and target.matches(found):
                self._devices[found.address] = device
                return found
        return None

    async def _already_connected(self, target: Target) -> Found | None:
        """The target, when BlueZ holds a connection to it that nobody here has: its program died, or could not end it.

        It does not advertise then. BlueZ itself is asked first: what bleak remembers may be older than bluetoothd.
        """
        if self._watch is None:
            return None
        with translated("look at what is connected", SCAN_START_SECONDS):
            now = await self._watch.connected() - self._taken()
            if not now:
                return None
            for device in await (await self._bleak_adapter()).get_connected_devices([target.service_uuid]):
                found = Found(device.address, device.name, (target.service_uuid,), UNKNOWN_RSSI_DBM, adapter=self.name)
                if device.address in now and target.matches(found):
                    self._devices[found.address] = device
                    return found
        return None

    async def _bleak_adapter(self) -> BleakAdapter:
        return await (
            BleakAdapter.get() if self._adapter is None else BleakAdapter.get(bluez={"adapter": self._adapter})
        )

    async def _calmly(self, link: "BleakLink", timeout_seconds: float) -> None:
        """Connect in a task of its own: clearing up after an attempt must end even if whoever asked is cancelled twice.

        An attempt that BlueZ still has under way would refuse every later one.
        """
        if self._taking_back is not None:
            await asyncio.wait({self._taking_back})
        attempt = asyncio.create_task(link.connect(timeout_seconds))
        try:
            await asyncio.shield(attempt)
        except asyncio.CancelledError:
            self._taking_back = asyncio.create_task(_taken_back(link, attempt))
            await asyncio.wait({self._taking_back})
            raise

    def _on_gone(self, reason: str, address: str | None) -> None:
        """BlueZ, its adapter or one device is gone, and bleak goes on as if it were there."""
        for link in list(self._links):
            if address in (None, link.address):
                link.end()
        if address is not None:
            return
        error = RadioUnavailableError(reason)
        self.signs.failed(SCAN, error, asyncio.get_running_loop().time())
        self._scanner_is_deaf = True
        self._heard.clear()
        futures: list[asyncio.Future[Any]] = [*self._waiting, *self._listening]
        for future in futures:
            if not future.done():
                future.set_exception(error)

    async def _give_up_silent_scanner(self, seconds: float) -> None:
        """A scanner that heard nobody at all may be one whose adapter has stopped listening: start anew."""
        async with self._scanner_lock:
            if asyncio.get_running_loop().time() - self._heard_at >= seconds:
                await self._stop_scanner()

    async def _stop_scanner(self) -> None:
        scanner, self._scanner = self._scanner, None
        self._scanner_is_deaf = False
        if scanner is None:
            return
        # A scanner that cannot be stopped is one whose adapter or service is gone: it has stopped.
        with contextlib.suppress(RadioError), translated("stop of the scan", SCAN_START_SECONDS):
            async with asyncio.timeout(SCAN_START_SECONDS):
                await scanner.stop()

    def _on_advertisement(self, device: BLEDevice, data: AdvertisementData) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        found = self._found(device, data)
        self.signs.heard(self._heard_at)
        for hear in self._listening.values():
            hear(found)
        if found.address in self._taken():
            return
        self._heard[found.address] = (self._heard_at, found, device)
        for future, target in self._waiting.items():
            if not future.done() and target.matches(found):
                self._devices[found.address] = device
                future.set_result(found)


def _watch_over_bluez(on_gone: Callable[[str, str | None], None], adapter: str | None) -> "BluezWatch | None":
    if sys.platform != "linux":
        return None
    # There is no D-Bus elsewhere, and a hub with a radio of its own does without it.
    from bedside_agent.radio.bluez_watch import BluezWatch

    return BluezWatch(on_gone, adapter)


def _bonds_over_bluez() -> Bonds | None:
    if sys.platform != "linux":
        return None
    from bedside_agent.radio.bluez_bonds import BluezBonds

    return BluezBonds()


async def _taken_back(link: BleakLink, attempt: asyncio.Task[None]) -> None:
    """An attempt that nobody wants any more, and what it may still have led to."""
    attempt.cancel()
    await asyncio.wait({attempt})
    if not attempt.cancelled() and attempt.exception() is None:
        with contextlib.suppress(RadioError):
            await link.disconnect(timeout_seconds=TAKE_BACK_SECONDS)
