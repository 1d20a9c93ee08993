"""The way to the broker: its name, looked up within a limit, and the first of its addresses that answers.

Only importer of aiohappyeyeballs. In a home whose IPv6 leads nowhere, or where one of several addresses is dead, trying
one after the other would cost an alarm a time-out for each; here the next one is tried a quarter of a second later
(RFC 8305). Whether who answers is the broker is for TLS to say, so an address that is out of date does no harm.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import TypeAlias

import aiohappyeyeballs

LOOKUP_SECONDS = 4.0
"""A resolver that answers does so in less; one that does not would be waited for up to half a minute."""

IMPATIENT_SECONDS = 1.0
"""The same where the addresses are known from before: an alarm may be waiting."""

NEXT_ADDRESS_SECONDS = 0.25
"""After which the next address is tried beside those before (RFC 8305, section 5)."""

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
AddressInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, SocketAddress]
"""As `socket.getaddrinfo` gives it."""


class Route:
    """Belongs to one event loop. Remembers the addresses of `host`, for when nobody can be asked for them."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._known: Sequence[AddressInfo] = ()
        self._asking: asyncio.Task[Sequence[AddressInfo]] | None = None

    async def open(self) -> socket.socket:
        """A socket connected to the first address that answers; OSError when none can be had or all refuse.

        Waits without a limit for addresses that say nothing: the caller sets one.
        """
        return await aiohappyeyeballs.start_connection(
            list(await self._addresses()), happy_eyeballs_delay=NEXT_ADDRESS_SECONDS
        )

    async def _addresses(self) -> Sequence[AddressInfo]:
        """As the resolver says now, else as it said last."""
        # A look-up cannot be broken off: one that hangs is waited for again, and none is begun beside it.
        asking = self._asking or asyncio.create_task(self._ask())
        self._asking = asking
        done, _ = await asyncio.wait({asking}, timeout=IMPATIENT_SECONDS if self._known else LOOKUP_SECONDS)
        if done:
            self._asking = None
        try:
            self._known = asking.result() if done else self._known
        except OSError:
            if not self._known:
                raise
        if not self._known:
            raise TimeoutError(f"nobody said within {LOOKUP_SECONDS:g} s where {self.host} is")
        return self._known

    async def _ask(self) -> Sequence[AddressInfo]:
        return await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
