"""What can be read of damaged stores goes into the new one while the hub works: a bounded number of pages a step.

Where the next step begins is written in the same transaction as what the last one found: a start after a power cut goes
on there. What was brought in twice all the same stands once, for its sequences say what it is.
"""

from dataclasses import dataclass
from pathlib import Path

from bedside_agent.buffer import salvage
from bedside_agent.buffer.bundles import about, reach, store_of
from bedside_agent.buffer.contents import STORE_STEP
from bedside_agent.buffer.ranges import Range, normalise, subtract
from bedside_agent.buffer.salvage import Aside, Found
from bedside_agent.buffer.sealing import Keyring
from bedside_agent.buffer.sqlite_file import SqliteFile
from bedside_agent.buffer.tables import Tables
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import UpLane

OWN = "buffer."
"""Named values that begin so tell how far the buffer's own work is: in another file they mean nothing."""

PLACE = OWN + "salvage"

STEP_PAGES = 64
"""A hundredth of a second's work and one commit: an alarm that is to be committed waits no longer than for that."""

FIRST_NUMBER = 2**20
"""Of stores that are opened in a new file: below it there is room for those that are found in the damaged one."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Sequences of one lane of an earlier store that are there again."""

    number: int
    store_id: str
    lane: UpLane
    range: Range


class Rescue:
    """Brings in what files that were put aside still hold, the oldest damage first. Blocks."""

    def __init__(self, path: Path, file: SqliteFile, keyring: Keyring) -> None:
        self.rows = 0
        self._path = path
        self._file = file
        self._keyring = keyring
        self._tables = Tables(file, keyring)
        self._aside: Aside | None = None
        self._at = 0

    @property
    def is_needed(self) -> bool:
        """Whether there is a file that is not wholly salvaged."""
        return self._aside is not None or bool(salvage.waiting(self._path))

    @property
    def pages_read(self) -> int:
        """Pages read of the file that is being salvaged."""
        return self._aside.pages_read if self._aside is not None else 0

    def named_values(self, newer: Path | None = None) -> int:
        """Bring in the named values (plan, alarms' memory), which are needed at once; how many pages were read.

        What the store has already stays, except for the values of the file `newer`.
        """
        read = 0
        for path in reversed(salvage.waiting(self._path)):
            aside = Aside(path, self._keyring)
            try:
                with self._file.transaction():
                    if path == newer:
                        newest = {found.name: found.plain for found in reversed(tuple(aside.named_values()))}
                        self._tables.put_state({name: value for name, value in newest.items() if not _is_own(name)})
                        continue
                    for found in aside.named_values():
                        self._take_value(found)
            finally:
                aside.close()
                read += aside.pages_read
        return read

    def step(self) -> tuple[Saved, ...]:
        """Look at the next pages; what they held. StoreWriteError when the disk refuses it: the next step tries again.

        `is_needed` says whether there is a next step.
        """
        aside = self._aside or self._next()
        if aside is None:
            return ()
        last = min(self._at + STEP_PAGES, aside.count) - 1
        with self._file.transaction():
            saved = [one for found in aside.rows(self._at, last) if (one := self._take(found)) is not None]
            self._tables.put_state({PLACE: f"{last + 1} {salvage.identity(aside.path)}".encode()})
        self.rows += len(saved)
        self._at = last + 1
        if self._at >= aside.count:
            self.close()
            salvage.finish(self._path, aside.path)
        return tuple(saved)

    def close(self) -> None:
        """Stop reading; another opening goes on."""
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    def _next(self) -> Aside | None:
        found = salvage.waiting(self._path)
        if found:
            self._aside = Aside(found[0], self._keyring)
            place, _, name = self._tables.state().get(PLACE, b"0 ").decode().partition(" ")
            self._at = min(int(place), self._aside.count) if name == salvage.identity(found[0]) else 0
        return self._aside

    def _take(self, found: Found) -> Saved | None:
        if found.lane is None:
            self._take_value(found)
            return None
        try:
            first, last = reach(found.seq, found.plain)
        except MalformedError:
            return None
        store_id = store_of(found.plain)
        self._file.run("salvage_store", {"number": found.number, "below": FIRST_NUMBER, "store_id": store_id})
        number = self._file.number("store_number", {"store_id": store_id})
        inside = self._room_for(number, found.lane, (first, last))
        if inside is None:
            return None
        self._tables.delete(number, found.lane, inside)
        key = number * STORE_STEP + first
        sealed = self._keyring.seal(found.plain, about(found.lane, key))
        self._file.run_many(f"add_{found.lane.value}", [(key, sealed)])
        return Saved(number, store_id, found.lane, (first, last))

    def _room_for(self, number: int, lane: UpLane, wanted: Range) -> list[Range] | None:
        """The rows that lie inside `wanted` and make room for it; None when all its sequences are there already.

        Of a thinned stretch both the old rows and the new may be found: a sequence stands once.
        """
        there = list(self._tables.reaches(number, lane, wanted))
        if not subtract((wanted,), normalise(there)):
            return None
        return [one for one in there if wanted[0] <= one[0] and one[1] <= wanted[1]]

    def _take_value(self, found: Found) -> None:
        if not _is_own(found.name):
            value = self._keyring.seal(found.plain, found.name.encode())
            self._file.run("salvage_state", {"name": found.name, "value": value})


def _is_own(name: str) -> bool:
    return name.startswith(OWN)
