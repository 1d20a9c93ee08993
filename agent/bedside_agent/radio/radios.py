"""Several adapters as one radio: a device is connected by the one that hears it best, and by another when that dies."""

import asyncio
from collections.abc import Callable, Sequence

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.central import (
    NO_PAIRING,
    ConnectFailedError,
    DeviceNotFoundError,
    Found,
    Link,
    Pairing,
    RadioError,
    Target,
)

COMPARE_SECONDS = 1.0
"""How long the others may take to hear a device that one adapter has heard. Devices advertise a few times a second."""


class Radios:
    """See `central.Central`. Every `Found` names the adapter that heard it, and is of use with that one alone."""

    def __init__(self, adapters: Sequence[BleakCentral]) -> None:
        self.adapters = tuple(adapters)

    async def scan(self, *, seconds: float) -> tuple[Found, ...]:
        """See `central.Central`. A device that several hear is there once, as the best hears it."""
        scans = await asyncio.gather(
            *(adapter.scan(seconds=seconds) for adapter in self.adapters), return_exceptions=True
        )
        heard: dict[str, Found] = {}
        errors = [one for one in scans if isinstance(one, BaseException)]
        for found in (found for one in scans if not isinstance(one, BaseException) for found in one):
            if found.address not in heard or found.rssi_dbm > heard[found.address].rssi_dbm:
                heard[found.address] = found
        if len(errors) == len(self.adapters):
            raise errors[0]
        return tuple(sorted(heard.values(), key=lambda found: -found.rssi_dbm))

    async def listen(self, hear: Callable[[Found], None], *, seconds: float) -> None:
        """See `central.Central`. What several hear is heard several times; one that cannot listen is none too few."""
        listening = [adapter.listen(hear, seconds=seconds) for adapter in self.adapters]
        errors = [one for one in await asyncio.gather(*listening, return_exceptions=True) if one is not None]
        if len(errors) == len(self.adapters):
            raise errors[0]

    async def find(self, target: Target, *, timeout_seconds: float) -> Found:
        """See `central.Central`. With several adapters, an error of one is none as long as another listens."""
        if len(self.adapters) == 1:
            return await self.adapters[0].find(target, timeout_seconds=timeout_seconds)
        searches = {
            asyncio.create_task(adapter.find(target, timeout_seconds=timeout_seconds)) for adapter in self.adapters
        }
        try:
            found = await _first_heard(searches)
            others = {search for search in searches if not search.done()}
            if others:
                await asyncio.wait(others, timeout=COMPARE_SECONDS)
            heard = [search.result() for search in searches if search.done() and search.exception() is None]
            return await self._best(heard) if heard else found
        finally:
            for search in searches:
                search.cancel()
            await asyncio.wait(searches)

    async def connect(
        self,
        found: Found,
        on_lost: Callable[[], None],
        *,
        timeout_seconds: float,
        pairing: Pairing = NO_PAIRING,
    ) -> Link:
        """See `central.Central`."""
        adapter = self._adapter(found)
        return await adapter.connect(found, on_lost, timeout_seconds=timeout_seconds, pairing=pairing)

    async def is_bonded(self, found: Found) -> bool:
        """See `central.Central`. Each adapter has bonds of its own."""
        return await self._adapter(found).is_bonded(found)

    async def forget_bond(self, found: Found) -> None:
        """See `central.Central`."""
        await self._adapter(found).forget_bond(found)

    async def close(self) -> None:
        """See `central.Central`."""
        await asyncio.gather(*(adapter.close() for adapter in self.adapters))

    def _adapter(self, found: Found) -> BleakCentral:
        for adapter in self.adapters:
            if adapter.name == found.adapter:
                return adapter
        raise ConnectFailedError(found.address, f"there is no adapter {found.adapter!r}")

    async def _best(self, heard: Sequence[Found]) -> Found:
        """An adapter that has a bond with the device before one that hears it better: the other would pair anew."""

        async def has_bond(found: Found) -> bool:
            try:
                return await self.is_bonded(found)
            except RadioError:
                return False

        bonded = [found for found in heard if len(heard) > 1 and await has_bond(found)]
        return max(bonded or heard, key=lambda found: found.rssi_dbm)


async def _first_heard(searches: set[asyncio.Task[Found]]) -> Found:
    """Raises the error of the last one to give up; that nobody heard the device says more than that a radio is gone."""
    pending, errors = set(searches), list[BaseException]()
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for search in done:
            error = search.exception()
            if error is None:
                return search.result()
            errors.append(error)
    raise next((one for one in errors if isinstance(one, DeviceNotFoundError)), errors[-1])
