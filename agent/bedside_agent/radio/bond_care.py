"""Looks after one device's bond: made when the device asks, a stale one removed once, another made on demand."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from bedside_agent.radio.bonds import BondStep, BondTrouble, next_step, trouble_of
from bedside_agent.radio.central import AccessRefusedError, Central, Found, Link, Pairing, RadioError

_T = TypeVar("_T")


class BondTeller(Protocol):
    """Is told what became of the bond."""

    def paired(self) -> None:
        """A bond was made, because the device asked for one."""
        ...

    def repair_needed(self, reason: str) -> None:
        """The device has forgotten its bond, which was removed here too."""
        ...


class BondCare:
    """One device's. `pairing` is what its entry says of a bond."""

    def __init__(
        self, central: Central, pairing: Pairing, teller: BondTeller, *, call_seconds: float, pair_seconds: float
    ) -> None:
        self.pairing = pairing
        self.is_wanted_anew = False
        """A person has asked for another bond: the hub's half is forgotten at the next connection."""
        self._central = central
        self._teller = teller
        self._call_seconds = call_seconds
        self._pair_seconds = pair_seconds
        self._removed = False
        self._is_fresh = False
        self._had_bond: bool | None = None

    async def connecting(self, found: Found) -> None:
        """A connection begins."""
        self._is_fresh = False
        self._had_bond = None
        if self.pairing.is_allowed:
            with contextlib.suppress(RadioError):
                self._had_bond = await self._central.is_bonded(found)

    async def connected(self, link: Link) -> None:
        """The device is read: whatever bond there is serves."""
        self._removed = False
        await self.look_for_a_new_one(link)

    async def look_for_a_new_one(self, link: Link) -> None:
        """Tell of a bond that the radio made by itself: BlueZ does, at any moment, when a device asks for one."""
        if self._had_bond is False and not self._is_fresh:
            with contextlib.suppress(RadioError):
                self._found(bonded=await link.is_bonded(timeout_seconds=self._call_seconds))

    async def forget_if_wanted(self, found: Found) -> bool:
        """Whether the hub's half was forgotten on demand; the device must be found again then. Raises `RadioError`."""
        if not self.is_wanted_anew:
            return False
        await self._central.forget_bond(found)
        self.is_wanted_anew = self._removed = False
        return True

    async def permitted(self, call: Callable[[], Awaitable[_T]], link: Link) -> _T:
        """The result of `call`, which is made again after pairing where the device refuses it for want of a bond."""
        try:
            return await call()
        except AccessRefusedError as error:
            # Who has a bond and is refused all the same has a stale one, which is not mended on this connection.
            bonded = await link.is_bonded(timeout_seconds=self._call_seconds)
            self._found(bonded=bonded)
            if self._step(error, bonded=bonded) is not BondStep.PAIR:
                raise
        await link.pair(timeout_seconds=self._pair_seconds)
        self._is_fresh = True
        self._teller.paired()
        return await call()

    async def look_after(self, error: RadioError, found: Found) -> bool:
        """Whether what ended the connection was a stale bond, which is removed now.

        When that fails, or nobody can say whether there is one, the next failure is seen to.
        """
        if trouble_of(error) is BondTrouble.NONE:
            return False
        with contextlib.suppress(RadioError):
            bonded = await self._central.is_bonded(found)
            if self._step(error, bonded=bonded) is BondStep.REMOVE:
                await self._central.forget_bond(found)
                self._removed = True
                self._teller.repair_needed(error.reason)
                return True
        return False

    def _found(self, *, bonded: bool) -> None:
        if bonded and self._had_bond is False and not self._is_fresh:
            self._is_fresh = True
            self._teller.paired()

    def _step(self, error: RadioError, *, bonded: bool) -> BondStep:
        return next_step(
            trouble_of(error),
            bonded=bonded,
            may_pair=self.pairing.is_allowed,
            removed=self._removed,
            fresh=self._is_fresh or (bonded and self._had_bond is False),
        )
