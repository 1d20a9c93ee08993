"""A child process that stores readings through one store, ours or the peer's: what `hub.peer` measures.

`python -m tests.bench.hub.peer_writing STORE FOLDER RATE SECONDS`: STORE is `ours`, `sqlite` or `memory`. With SECONDS
0 it prints each reading's number once the store has acknowledged it, until it is killed. With RATE 0 it stores
`AT_MOST` readings as fast as it can. Else it ends by itself and prints `done READINGS SECONDS BYTES RSS_KB`; the bytes
of its start are not counted, those of its end are.
"""

import asyncio
import json
import logging
import sqlite3
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

AT_MOST = 20_000


class PeersLogger(logging.Logger):
    """The peer's storages also call `trace`."""

    def trace(self, *_: object) -> None:
        """Say nothing."""


def peers_store(kind: str, folder: Path) -> Any:
    """The peer's own storage with its own defaults, from the package on PYTHONPATH."""
    names = {"sqlite": "sqlite_event_storage.SQLiteEventStorage", "memory": "memory_event_storage.MemoryEventStorage"}
    module, name = names[kind].split(".")
    storage = getattr(import_module(f"thingsboard_gateway.storage.{kind}.{module}"), name)
    config = {"data_file_path": f"{folder}/", "max_records_count": 10_000_000}
    return storage(config, PeersLogger("peer", logging.CRITICAL), threading.Event())


def peers_reading(number: int) -> str:
    """A reading as the peer's connectors hand it to the storage."""
    values = [{"ts": time.time_ns() // 1_000_000, "values": {"spo2": 97.0, "number": number}}]
    return json.dumps({"deviceName": "oximeter-1", "deviceType": "default", "attributes": {}, "telemetry": values})


def peers_rows(folder: Path) -> set[int]:
    """Numbers of the readings that stand in the peer's files."""
    found: set[int] = set()
    for path in folder.glob("*.db"):
        connection = sqlite3.connect(path)
        for (message,) in connection.execute("SELECT message FROM messages"):
            found.add(json.loads(message)["telemetry"][0]["values"]["number"])
        connection.close()
    return found


def write_to_peer(kind: str, folder: Path, rate: float, seconds: float) -> None:
    """Put readings into the peer's storage, as its connectors do."""
    store = peers_store(kind, folder)
    before = bytes_written()
    began, number = time.monotonic(), 0
    while (not seconds or time.monotonic() - began < seconds) and (rate or number < AT_MOST):
        due = int((time.monotonic() - began) * rate) + 1 if rate else AT_MOST
        while number < due:
            if store.put(peers_reading(number + 1)):
                number += 1
                if not seconds and rate:
                    print(number, flush=True)
        if rate:
            time.sleep(min(0.01, 1 / rate))
    if kind == "sqlite":
        while len(peers_rows(folder)) < number:
            time.sleep(0.05)
    taken = time.monotonic() - began
    store.stop()
    print("done", number, taken, bytes_written() - before, rss_kb(), flush=True)
    sys.stdout.flush()


async def write_to_ours(folder: Path, rate: float, seconds: float) -> None:
    """Append readings to the hub's store, as its devices do, one by one."""
    from tests.support.readings import reading

    from bedside_agent.buffer.store import Store
    from bedside_agent.clock import SystemClock

    clock = SystemClock()
    store = await Store.open(folder / "buffer.db", clock)
    before = bytes_written()
    began, number, kept = time.monotonic(), 0, None
    while (not seconds or time.monotonic() - began < seconds) and (rate or number < AT_MOST):
        due = int((time.monotonic() - began) * rate) + 1 if rate else min(number + 100, AT_MOST)
        while number < due:
            _, kept = store.append_readings([reading(97.0, at=clock.now())])
            number += 1
        await (asyncio.sleep(min(0.01, 1 / rate)) if rate else store.room())
    assert kept is not None
    await kept
    taken = time.monotonic() - began
    await store.close()
    print("done", number, taken, bytes_written() - before, rss_kb(), flush=True)


def bytes_written() -> int:
    """What the kernel counts as written for this process."""
    return _field("/proc/self/io", "write_bytes")


def rss_kb() -> int:
    """What this process takes of the memory now."""
    return _field("/proc/self/status", "VmRSS")


def _field(path: str, name: str) -> int:
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1])


if __name__ == "__main__":
    _, what, where, at_rate, for_seconds = sys.argv
    if what == "ours":
        asyncio.run(write_to_ours(Path(where), float(at_rate), float(for_seconds)))
    else:
        write_to_peer(what, Path(where), float(at_rate), float(for_seconds))
