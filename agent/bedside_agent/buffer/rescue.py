"""What can be read of a damaged store goes into the new one."""

import itertools
from pathlib import Path

from bedside_agent.buffer import salvage
from bedside_agent.buffer.bundles import GAP, about, store_of
from bedside_agent.buffer.contents import LANES, STORE_STEP
from bedside_agent.buffer.ranges import Range
from bedside_agent.buffer.salvage import Salvage
from bedside_agent.buffer.sealing import Keyring
from bedside_agent.buffer.sqlite_file import SqliteFile
from bedside_agent.buffer.tables import Tables
from bedside_agent.errors import StoreFullError

SALVAGED_ROWS = 2_000


class Rescue:
    """Brings in what files that were put aside still hold, now or when an earlier start was cut short."""

    def __init__(self, path: Path, file: SqliteFile, keyring: Keyring) -> None:
        self._path = path
        self._file = file
        self._keyring = keyring
        self._tables = Tables(file, keyring)

    def all(self, report: Salvage | None) -> Salvage | None:
        """Go through every file that was put aside; what was found, added to `report`."""
        for aside in salvage.waiting(self._path):
            report = report or Salvage("an earlier start was cut short")
            try:
                self._one(aside, report)
            except StoreFullError:
                # The rest stays in the file that was put aside, and the next start goes on.
                return report
            salvage.finish(self._path, aside)
            report.finished = True
        return report

    def _one(self, aside: Path, report: Salvage) -> None:
        found = salvage.rows(aside, self._keyring)
        thinned = False
        while part := list(itertools.islice(found, SALVAGED_ROWS)):
            with self._file.transaction():
                report.rows += sum(self._take_in(row) for row in part)
            thinned = thinned or any(row.lane and row.plain[0] == GAP for row in part)
        if thinned:
            self._drop_overlapping()

    def _take_in(self, row: salvage.Found) -> int:
        if row.lane is None:
            value = self._keyring.seal(row.plain, row.name.encode())
            return self._file.run("salvage_state", {"name": row.name, "value": value}).rowcount
        store = {"store_id": store_of(row.plain)}
        self._file.run("salvage_store", store)
        key = self._file.number("store_number", store) * STORE_STEP + row.seq
        sealed = self._keyring.seal(row.plain, about(row.lane, key))
        return self._file.run(f"salvage_{row.lane.value}", {"item": key, "payload": sealed}).rowcount

    def _drop_overlapping(self) -> None:
        """Of a thinned stretch both the old rows and the new may have been found: a sequence stands once."""
        for number, _, _ in self._file.run("stores").fetchall():
            for lane in LANES:
                end, twice = 0, list[Range]()
                for row in self._tables.stored(number, lane, 1, STORE_STEP - 1):
                    if row.last <= end:
                        twice.append((row.first, row.last))
                    end = max(end, row.last)
                with self._file.transaction():
                    self._tables.delete(number, lane, twice)
