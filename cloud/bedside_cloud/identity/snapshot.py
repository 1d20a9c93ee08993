"""Who is let in, at hand without the database: in memory, and in a file for the next start."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bedside_cloud.contracts.identity_administration import LET_IN, Access


@dataclass(frozen=True, slots=True)
class HubEntry:
    """One enrolled hub. Certificates older than either date are refused; the first one's also end its connection."""

    access: Access
    refuse_issued_before: datetime
    adopted_issued_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every enrolled hub as the database had it at `version`."""

    version: int
    hubs: dict[str, HubEntry]


EMPTY = Snapshot(-1, {})

KNOWN_STATES = frozenset(access.value for access in Access)

WRITE_SECONDS = 1.0
"""A fleet that enrols at once is not written for each of its hubs."""


def write_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Replace the file whole, mode 0600. Its form is that of the first version: an older program finds only words in it
    that it may not know, and then lets nobody in until it has reached the database."""
    hubs = {
        hub_id: [entry.access.value, entry.refuse_issued_before.isoformat(), entry.adopted_issued_at.isoformat()]
        for hub_id, entry in snapshot.hubs.items()
    }
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"version": snapshot.version, "hubs": hubs}, file)
    beside.replace(path)


def read_snapshot(path: Path) -> Snapshot:
    """The snapshot of an earlier start; empty when there is none, or when the file was torn.

    A hub in a state that this program does not know is left out: the database is asked about it when it comes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        hubs = {
            hub_id: HubEntry(Access(access), datetime.fromisoformat(before), datetime.fromisoformat(adopted))
            for hub_id, (access, before, adopted) in content["hubs"].items()
            if access in KNOWN_STATES
        }
        return Snapshot(int(content["version"]), hubs)
    except (OSError, ValueError, KeyError):
        # Fail closed for the moment it takes to reach the database: nobody is let in by a file that cannot be read.
        return EMPTY


class Snapshots:
    """The newest snapshot. `shut_out` is called with each hub that an update has taken the right to be connected.

    `fetch` brings every hub, `fetch_one` the version and one hub, None for one that is not there.
    """

    def __init__(
        self,
        path: Path,
        fetch: Callable[[], Awaitable[Snapshot]],
        fetch_one: Callable[[str], Awaitable[tuple[int, HubEntry | None]]],
        shut_out: Callable[[str], Awaitable[None]],
    ) -> None:
        self._path = path
        self._fetch = fetch
        self._fetch_one = fetch_one
        self._shut_out = shut_out
        self._one_at_a_time = asyncio.Lock()
        self._begun, self._taken_over = 0, 0
        self._writing: asyncio.Task[None] | None = None
        self.current = self._written = read_snapshot(path)

    async def refresh(self) -> None:
        """Take over what the database has now. Raises what the database raises when it is away."""
        asked = self._begun
        # An older answer must not overtake a newer one.
        async with self._one_at_a_time:
            if self._taken_over > asked:
                # What others asked for meanwhile was fetched after our question too: many at once cost one or two.
                return
            self._begun += 1
            before, after = self.current, await self._fetch()
            self._taken_over = self._begun
            self.current = after
        for hub_id, entry in before.hubs.items():
            now = after.hubs.get(hub_id)
            if now != entry and _lost(entry, now):
                await self._shut_out(hub_id)
        await self._write()

    async def refresh_hub(self, hub_id: str) -> None:
        """Take over what the database has of one hub: a fleet is not fetched and written for each of its changes.

        Who lost the right is cut before anything else.
        """
        async with self._one_at_a_time:
            version, after = await self._fetch_one(hub_id)
            before = self.current.hubs.get(hub_id)
            hubs = {**self.current.hubs}
            hubs.pop(hub_id, None)
            if after is not None:
                hubs[hub_id] = after
            self.current = Snapshot(max(version, self.current.version), hubs)
        if before is not None and after != before and _lost(before, after):
            await self._shut_out(hub_id)
            await self._write()
        elif self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_soon())

    async def _write_soon(self) -> None:
        """Whoever is let in anew stands in the file a second later, with all who came meanwhile."""
        await asyncio.sleep(WRITE_SECONDS)
        await self._write()

    async def _write(self) -> None:
        async with self._one_at_a_time:
            if self.current != self._written:
                await asyncio.to_thread(write_snapshot, self.current, self._path)
                self._written = self.current


def _lost(before: HubEntry, now: HubEntry | None) -> bool:
    """Whether a hub that was let in by `before` must go."""
    return now is None or now.access not in LET_IN or now.refuse_issued_before > before.refuse_issued_before
