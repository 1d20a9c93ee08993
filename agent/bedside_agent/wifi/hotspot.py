"""The hub's own network while it has none: drives `setting_up` with NetworkManager and the page.

It runs beside everything else and disturbs nothing: a computer without NetworkManager is asked now and then, and every
error is a line of the log.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from bedside_agent.clock import Clock
from bedside_agent.homepage.address import HTTP_PORT, ports
from bedside_agent.wifi.bus import AbsentError, BusError
from bedside_agent.wifi.label import Label
from bedside_agent.wifi.network_manager import NetworkManager, network_manager
from bedside_agent.wifi.profiles import HOTSPOT_ADDRESS
from bedside_agent.wifi.setting_up import (
    Answering,
    Choice,
    Chose,
    CloseHotspot,
    Event,
    LookAgain,
    Looked,
    NotOpened,
    Open,
    Opened,
    OpenHotspot,
    Opening,
    Settled,
    State,
    Tried,
    Trouble,
    Try,
    begun,
    step,
)

LOOK_SECONDS = 5.0
SOON_SECONDS = 0.5
REST_SECONDS = 30.0
"""Between two questions to a bus or a NetworkManager that is not there."""

ROUTES = Path("/proc/net/route")

log = logging.getLogger(__name__)


class Hotspot:
    """`patience_minutes` without a network, then it opens; 0: never. No log names a network."""

    def __init__(
        self,
        label: Callable[[], Label],
        clock: Clock,
        language: str,
        patience_minutes: int,
        *,
        address: tuple[str, int] = (HOTSPOT_ADDRESS, HTTP_PORT),
        routes: Path = ROUTES,
        look_seconds: float = LOOK_SECONDS,
        manager: Callable[[], AbstractAsyncContextManager[NetworkManager]] = network_manager,
    ) -> None:
        self._label = label
        self._clock = clock
        self._language = language
        self._patience_minutes = patience_minutes
        self._address = address
        self._routes = routes
        self._look_seconds = look_seconds
        self._manager = manager
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._state: State = begun(self._now_ms(), patience_minutes * 60_000)
        self._is_up = False
        """The hub's own network may be up."""
        self._said = ""

    @property
    def state(self) -> State:
        """What it does now."""
        return self._state

    async def run(self) -> None:
        """Until there is a network; at once where it is switched off."""
        if self._patience_minutes == 0:
            return
        self._loop = asyncio.get_running_loop()
        try:
            while not isinstance(self._state, Settled):
                try:
                    async with self._manager() as manager:
                        await self._drive(manager)
                except AbsentError as error:
                    self._say_once(error)
                    await asyncio.sleep(REST_SECONDS)
                except BusError as error:
                    self._say_once(error)
                    await asyncio.sleep(LOOK_SECONDS)
                # The page is closed by now, whatever it was to say.
                self._events.put_nowait(NotOpened())
        finally:
            await self._leave_nothing()

    async def _drive(self, manager: NetworkManager) -> None:
        with ExitStack() as shown:
            while not isinstance(self._state, Settled):
                event = await self._next(manager)
                before = type(self._state)
                self._state, actions = step(self._state, event, self._now_ms())
                if type(self._state) is not before:
                    log.info(f"wifi.{type(self._state).__name__.lower()}", extra={"trouble": self._trouble()})
                for action in actions:
                    match action:
                        case OpenHotspot():
                            await self._open(manager, shown)
                        case CloseHotspot():
                            shown.close()
                            await manager.close_hotspot()
                            self._is_up = False
                        case Try(choice):
                            await self._try(manager, choice)

    async def _next(self, manager: NetworkManager) -> Event:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOON_SECONDS if isinstance(self._state, Answering) else self._look_seconds):
                return await self._events.get()
        facts = await manager.facts()
        self._said = ""
        is_routed = _has_default_route(self._routes)
        return Looked(replace(facts, is_online=True) if is_routed else facts)

    async def _open(self, manager: NetworkManager, shown: ExitStack) -> None:
        try:
            # While it is up, the card hears nothing.
            await manager.close_hotspot()
            heard = await manager.networks()
            self._is_up = True
            await manager.open_hotspot(self._label())
            self._serve(shown)
        except (BusError, OSError) as error:
            self._say_once(error)
            self._events.put_nowait(NotOpened())
        else:
            self._events.put_nowait(Opened(heard))

    def _serve(self, shown: ExitStack) -> None:
        # A web server is memory that a hub with a network does not need.
        from bedside_agent.wifi.portal import serving

        host, wanted = self._address
        for port in ports(wanted):
            page = serving((host, port), self._language, self._present, self._choose, self._look_again)
            try:
                log.info("wifi.page", extra={"port": shown.enter_context(page)})
                return
            except OSError as error:
                refused = error
        raise refused

    async def _try(self, manager: NetworkManager, choice: Choice) -> None:
        try:
            trouble = await manager.join(choice)
        except BusError as error:
            self._say_once(error)
            trouble = Trouble.REFUSED
        self._events.put_nowait(Tried(trouble))

    async def _leave_nothing(self) -> None:
        """An agent that ends takes its network with it."""
        if self._is_up:
            with contextlib.suppress(BusError):
                async with self._manager() as manager:
                    await manager.close_hotspot()

    def _present(self) -> State:
        return self._state

    def _choose(self, choice: Choice) -> State:
        self._loop.call_soon_threadsafe(self._events.put_nowait, Chose(choice))
        return Answering(choice, 0)

    def _look_again(self) -> State:
        self._loop.call_soon_threadsafe(self._events.put_nowait, LookAgain())
        return Opening()

    def _trouble(self) -> str:
        match self._state:
            case Opening(failure) | Open(_, failure) if failure is not None:
                return failure.trouble.value
        return ""

    def _say_once(self, error: Exception) -> None:
        if str(error) != self._said:
            self._said = str(error)
            log.warning("wifi.waits", extra={"reason": self._said})

    def _now_ms(self) -> int:
        return self._clock.now().monotonic_ms


def _has_default_route(routes: Path) -> bool:
    """Whether the kernel knows a way out of the home, also one that NetworkManager does not drive (proc(5), route)."""
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return False
    return any(line.split()[1:2] == ["00000000"] for line in lines)
