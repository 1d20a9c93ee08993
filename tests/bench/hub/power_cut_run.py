"""A hub's day in a few seconds, for the recording: `python -m tests.bench.hub.power_cut_run DIRECTORY SAID`;
with `damaged` behind it: a destroyed header, the start after it, and the salvage.

Readings in groups, alarms alone with the memory they change, a plan, receipts, retention, thinning, gaps, the reserve,
checkpoints, rotated keys and their sealing under a credential, settings and identity: everything the hub writes. It
writes into SAID what it promised, and when: a line in front of an append, and another once its future has resolved.
"""

import asyncio
import hashlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.certificates import Authority, der
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import GENERATION, HUB, alarm, event, reading

from bedside_agent import settings, trust
from bedside_agent.buffer import rescue, sqlite_file
from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Item
from bedside_agent.buffer.key_file import rotate
from bedside_agent.buffer.store import Store
from bedside_agent.buffer.wrapping import CREDENTIAL
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.uplink.identity import Identity
from bedside_agent.whole_file import write_whole
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import UpLane

BUFFER = "buffer.db"
LOG_PAGES = 60
"""Checkpoints come often, and the log begins anew: both are where a cut is dangerous."""

STEP_PAGES = 8
"""Of a salvage, for the same reason."""

OPENINGS, ROUNDS = 3, 14
MEMORY, PLAN = "alarms.memory", "alarms.plan"


@contextmanager
def credential() -> Iterator[None]:
    """What systemd hands over: always the same, so that a recorded file opens in the replay."""
    before = os.environ.get("CREDENTIALS_DIRECTORY")
    with tempfile.TemporaryDirectory(prefix="bedside-credentials-") as folder:
        (Path(folder) / CREDENTIAL).write_text("5a" * 32)
        os.environ["CREDENTIALS_DIRECTORY"] = folder
        try:
            yield
        finally:
            os.environ.pop("CREDENTIALS_DIRECTORY")
            if before is not None:
                os.environ["CREDENTIALS_DIRECTORY"] = before


def digest(item: Item) -> str:
    """What tells two items with one identity apart."""
    return hashlib.sha256(repr(item).encode()).hexdigest()[:16]


class Run:
    """One hub. `_say` is one system call: it stands in the recording where it happened."""

    def __init__(self, directory: Path, said: int) -> None:
        self._directory = directory
        self._said = said
        self._clock = ManualClock()
        self._chance = random.Random(7)
        self._alarms = self._plans = self._promises = 0

    async def run(self) -> None:
        """Several openings of one store; from the second on there is a credential."""
        self._enrol()
        with ExitStack() as stack:
            for opening in range(OPENINGS):
                if opening == 1:
                    stack.enter_context(credential())
                await self._opening(opening)

    async def _opening(self, opening: int) -> None:
        store = await self._opened()
        for place in range(ROUNDS):
            await self._round(store, place)
        await self._make_room(store)
        await store.close()
        settings.add_device(self._directory, DeviceEntry(f"cuff-{opening}", "serial.nonin_df2", port="/dev/ttyUSB0"))
        self._say(devices=opening + 1)
        self._say(keys=rotate(self._directory / BUFFER))

    async def run_damaged(self) -> None:
        """A store whose header is destroyed, the start after it, and the salvage beside the work."""
        self._enrol()
        store = await self._opened()
        for place in range(5):
            await self._round(store, place)
        await store.close()
        self._say(damaging=True)
        handle = os.open(self._directory / BUFFER, os.O_WRONLY)
        os.pwrite(handle, os.urandom(sqlite_file.PAGE_BYTES), 0)
        os.fsync(handle)
        os.close(handle)
        store = await self._opened()
        await self._round(store, 3)
        await store.salvaged()
        await self._round(store, 0)
        await store.close()

    async def _opened(self) -> Store:
        store = await Store.open(self._directory / BUFFER, self._clock, commit_window_ms=1)
        self._say(opened=store.store_id)
        return store

    def _enrol(self) -> None:
        identity, authority = Identity(self._directory), Authority()
        certificate = der(authority.sign_request(trust.certificate_request(identity.key_pem(), HUB)))
        identity.keep(certificate, (), certificate)
        self._say(enrolled=True)
        text = settings.first_text(HUB, "localhost", 8883, "bluez")
        write_whole(self._directory / settings.FILE, text.encode(), mode=0o600)
        self._say(devices=0)

    async def _round(self, store: Store, place: int) -> None:
        kept = []
        for _ in range(self._chance.randint(1, 3)):
            drafts = [reading(90 + n % 70 / 10, at=self._clock.now()) for n in range(self._chance.randint(1, 40))]
            readings, future = store.append_readings(drafts)
            kept.append(self._promised(store, UpLane.READINGS, readings, future))
        if place % 3 == 0:
            self._alarms += 1
            memory = {MEMORY: b"%d " % self._alarms * 90}
            raised, future = store.append_alarm(alarm(at_ms=NOON_MS + self._alarms), memory)
            kept.append(self._promised(store, UpLane.ALARMS, [raised], future))
        if place % 4 == 2:
            noted, future = store.append_event(event(at_ms=NOON_MS + place))
            kept.append(self._promised(store, UpLane.EVENTS, [noted], future))
        if place % 5 == 1:
            self._plans += 1
            future = store.put_state({PLAN: b"%d " % self._plans * 700})
            self._say(plan=self._plans)
            await future
            self._say(plan_kept=self._plans)
        for promise, future in kept:
            await future
            self._say(kept=promise)
        if place % 3 == 1:
            self._settle(store)
        self._clock.advance(hours=9)
        if place % 6 == 5:
            await store.retain()

    def _settle(self, store: Store) -> None:
        for shelf in store.shelves():
            if shelf.last and self._chance.random() < 0.6:
                stored = ((1, self._chance.randint(1, shelf.last)),)
                self._say(settled=[shelf.store_id, shelf.lane.value, *stored[0]])
                store.apply_receipt(
                    Receipt(SCHEMA_VERSION, HUB, GENERATION, shelf.lane, shelf.store_id, stored, rejected=())
                )

    async def _make_room(self, store: Store) -> None:
        """As on a full disk: the writer's own steps, and the room that is set aside."""
        for _ in range(6):
            await store._writer._make_room()
        store._database.reserve.release()
        store._database.tidy()
        store._database.reserve.refill()

    def _promised(
        self, store: Store, lane: UpLane, items: Sequence[Item], future: "asyncio.Future[None]"
    ) -> "tuple[int, asyncio.Future[None]]":
        """Say which content each sequence has. Nothing of it is on its way to the disk before the loop goes on."""
        self._promises += 1
        contents = {span(item)[0]: digest(item) for item in items}
        self._say(promise=self._promises, store=store.store_id, lane=lane.value, contents=contents)
        return self._promises, future

    def _say(self, **what: object) -> None:
        os.write(self._said, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    sqlite_file.LOG_PAGES = LOG_PAGES
    rescue.STEP_PAGES = STEP_PAGES
    handle = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o600)
    hub = Run(Path(sys.argv[1]), handle)
    asyncio.run(hub.run_damaged() if sys.argv[3:] == ["damaged"] else hub.run())
