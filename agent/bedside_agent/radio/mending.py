"""Carries out what `recovery` decides for each adapter; what needs the system's rights is asked of the system."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bedside_agent.radio.central import RadioError
from bedside_agent.radio.recovery import GROUND, REBOOTS_A_DAY, Climb, Rung, Standing, reboot_refusal, step
from bedside_agent.radio.signs import Signs, Trouble
from bedside_agent.whole_file import write_whole

LOOK_SECONDS = 5.0
RESTART_REQUEST, REBOOT_REQUEST = "restart-bluetooth", "reboot"
MOST_REBOOTS_KEPT = 16
NEVER_OVER_MS = 1 << 60

log = logging.getLogger(__name__)


class Adapter(Protocol):
    """What is looked after."""

    name: str
    signs: Signs

    def trouble(self, now: float) -> Trouble | None:
        """What is wrong with it now, on the event loop's clock; None when nothing is known to be."""
        ...

    async def restart_scan(self) -> None:
        """Raises `RadioError`."""
        ...

    async def power_cycle(self) -> None:
        """Raises `RadioError`."""
        ...


class System:
    """Asks the system for what the hub's own user may not do: a file in `folder` is one request.

    systemd's path unit sees it, and a service that runs as root answers it (`systemd/bedside-radio-repair`). Where that
    unit is not installed nothing happens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, request: str, said: str = "") -> None:
        """Ask; asking again before it was answered is the same. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._folder / request, said.encode(), mode=0o600)


class Diary(Protocol):
    """What a reboot depends on, and where it is written down before it is asked for."""

    def standing(self, reboots_ms: Sequence[int]) -> Standing:
        """As things are now."""
        ...

    def reboots(self) -> bytes | None:
        """What was kept."""
        ...

    async def keep_reboots(self, record: bytes) -> None:
        """Return when it is on the disk. Raises TimeoutError when it does not get there."""
        ...


Tell = Callable[[str, Mapping[str, str]], None]
"""An event of this kind with these fields. Must not block."""


class Mending:
    """Run it as one task. Every rung is an event before it is tried, and one more when it fails."""

    def __init__(self, adapters: Sequence[Adapter], system: System, diary: Diary, tell: Tell) -> None:
        self._adapters = adapters
        self._system = system
        self._diary = diary
        self._tell = tell
        self._climbs: dict[str, Climb] = {}

    async def run(self) -> None:
        """Look after the adapters until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for adapter in self._adapters:
                await self.look_after(adapter)

    async def look_after(self, adapter: Adapter) -> None:
        """Try the next rung for this adapter, if it is due."""
        now = asyncio.get_running_loop().time()
        trouble = adapter.trouble(now)
        next_step = step(self._climbs.get(adapter.name, GROUND), adapter.signs, trouble, now)
        self._climbs[adapter.name] = next_step.climb
        if next_step.is_over:
            self._say("radio_works", adapter)
        if next_step.rung is None or trouble is None:
            return
        if next_step.rung is Rung.REBOOT:
            await self._reboot(adapter, trouble)
            return
        self._say("radio_repair", adapter, rung=next_step.rung.value, reason=trouble.reason)
        try:
            await self._try(adapter, next_step.rung)
        except (RadioError, OSError) as error:
            self._say("radio_repair_failed", adapter, rung=next_step.rung.value, reason=str(error))

    async def _try(self, adapter: Adapter, rung: Rung) -> None:
        if rung is Rung.RESTART_SCAN:
            await adapter.restart_scan()
        elif rung is Rung.POWER_CYCLE:
            await adapter.power_cycle()
        else:
            self._system.ask(RESTART_REQUEST)

    async def _reboot(self, adapter: Adapter, trouble: Trouble) -> None:
        """The count is on the disk before the reboot is asked for: one that is not counted could come for ever."""
        reboots = _times(self._diary.reboots())
        standing = self._diary.standing(reboots)
        refusal = self._refusal(adapter, trouble, standing)
        if refusal is not None:
            self._say("radio_reboot_withheld", adapter, reason=refusal)
            return
        record = json.dumps([*reboots, standing.now_ms][-MOST_REBOOTS_KEPT:])
        self._say("radio_repair", adapter, rung=Rung.REBOOT.value, reason=trouble.reason)
        try:
            await self._diary.keep_reboots(record.encode())
            self._system.ask(REBOOT_REQUEST)
        except OSError as error:
            self._say("radio_repair_failed", adapter, rung=Rung.REBOOT.value, reason=str(error))

    def _refusal(self, adapter: Adapter, trouble: Trouble, standing: Standing) -> str | None:
        now = asyncio.get_running_loop().time()
        if any(other is not adapter and other.trouble(now) is None for other in self._adapters):
            return "another adapter works"
        return reboot_refusal(trouble, adapter.signs, standing)

    def _say(self, kind: str, adapter: Adapter, **fields: str) -> None:
        self._tell(kind, {"adapter": adapter.name, **fields})
        log.warning(kind.replace("radio_", "radio."), extra={"adapter": adapter.name, **fields})


def _times(record: bytes | None) -> list[int]:
    """A record that cannot be read counts as full: a reboot too few is better than one that comes for ever."""
    if record is None:
        return []
    try:
        return [int(at) for at in json.loads(record)]
    except (ValueError, TypeError):
        return [NEVER_OVER_MS] * REBOOTS_A_DAY
