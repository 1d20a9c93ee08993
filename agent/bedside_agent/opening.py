"""What an agent is made of, opened: its store, its time, its radio; and where they lie in the state directory."""

import asyncio
import contextlib
import functools
import importlib.metadata
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock
from bedside_agent.intake import event_at
from bedside_agent.radio.choice import open_central
from bedside_agent.radio.radios import Radios
from bedside_agent.settings import Settings
from bedside_agent.timekeeping.timekeeper import BOOTS, TimeKeeper
from bedside_profiles.wire.events import EventField

BUFFER = "buffer.db"
IDENTITY = "identity"
BONDS = "bonds.json"
REQUESTS = "requests"


@functools.cache
def agent_version() -> str:
    """The installed version, or `unknown` when it runs from a checkout. Looked up once: each look reads the packages'
    folders, and keeps what it found of every state in which it met one."""
    try:
        return importlib.metadata.version("bedside")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


async def time_keeper(kernel: Clock, store: Store) -> TimeKeeper:
    """The hub's time, with what earlier boots knew of it."""
    newest = await store.newest_reading()

    def note(kind: str, details: Mapping[str, str]) -> None:
        fields = tuple([EventField(name, value) for name, value in details.items()])
        store.append_event(event_at(kernel.now(), kind, fields=fields))

    return TimeKeeper(kernel, store.state.get(BOOTS), newest, store.put_state, note)


@asynccontextmanager
async def opened_store(state: Path, memory: Path, settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    """The buffer while the block runs."""
    store = await Store.open(state / BUFFER, clock, commit_window_ms=settings.commit_window_ms, memory=memory)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def opened_radio(settings: Settings, keys: Path) -> AsyncIterator[Radios]:
    """The hub's adapters while the block runs."""
    central = await open_central(settings.radio, jitter=random.SystemRandom(), keys=keys)
    try:
        yield central
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await central.close()
