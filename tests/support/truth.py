"""What the simulator emitted against what the database holds: the comparison that every journey ends with."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bedside_sim.household import Household
from bedside_sim.journal import read_journal
from bedside_sim.processes import ask, command

Row = tuple[str, float | None, str | None, str]
"""Metric, value, range flag, modality."""


def emitted(journal: Path) -> dict[str, list[Row]]:
    """Device → what it really emitted, in order."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for entry in read_journal(journal):
        rows[entry.device_id].append((entry.metric, entry.value, entry.range_flag, entry.modality))
    return dict(rows)


def stored(dsn: str) -> dict[str, list[Row]]:
    """Device → what the database holds of it, in the order in which the hub heard it."""
    rows: dict[str, list[Row]] = defaultdict(list)
    statement = (
        "SELECT device_id, metric, value, range_flag, modality FROM ingest.readings ORDER BY device_id, taken_at, seq"
    )
    with psycopg.connect(dsn) as connection:
        for device_id, *row in connection.execute(statement):
            rows[device_id].append((row[0], row[1], row[2], row[3]))
    return dict(rows)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two accounts of one device differ; empty lists when they do not."""

    device_id: str
    missing: list[tuple[int, Row]]
    surplus: list[tuple[int, Row]]


def differences(truth: dict[str, list[Row]], database: dict[str, list[Row]]) -> list[Difference]:
    """Per device, what is missing from the database and what is there too often; exact order included."""
    import difflib

    found = []
    for device_id in sorted({*truth, *database}):
        was, present = truth.get(device_id, []), database.get(device_id, [])
        if was == present:
            continue
        missing: list[tuple[int, Row]] = []
        surplus: list[tuple[int, Row]] = []
        for kind, a, b, c, d in difflib.SequenceMatcher(None, was, present, autojunk=False).get_opcodes():
            if kind != "equal":
                missing += list(enumerate(was[a:b], a))
                surplus += list(enumerate(present[c:d], c))
        found.append(Difference(device_id, missing, surplus))
    return found


async def hub_status(household: Household) -> dict[str, Any]:
    """What `bedside-agent status --json` says."""
    answer = await ask(command("bedside-agent"), "status", "--json", "--state", str(household.hub_state))
    return dict(answer)


async def drained(household: Household, seconds: float = 90) -> None:
    """Until the hub holds all that was emitted, and nothing that the cloud has not stored. Pause the world first."""
    await committed(household)
    await sent(household, seconds)


async def sent(household: Household, seconds: float = 90) -> None:
    """Until the hub holds nothing that the cloud has not stored."""
    # What came last may still be between the line and the hub's disk, where nothing counts it as waiting.
    await asyncio.sleep(1)
    async with asyncio.timeout(seconds):
        while any((await hub_status(household))["waiting"].values()):
            await asyncio.sleep(0.5)


async def committed(household: Household, seconds: float = 30) -> None:
    """Until the hub's store holds every reading that was emitted. Pause the world first."""
    stats = (command("bedside-agent"), "buffer", "stats", "--json", "--state", str(household.hub_state))
    kept = wanted = -1
    try:
        async with asyncio.timeout(seconds):
            while kept != (wanted := sum(map(len, emitted(household.journal).values()))):
                await asyncio.sleep(0.2)
                kept = (await ask(*stats))["lanes"]["readings"]["stored"]
    except TimeoutError as cause:
        raise AssertionError(f"{wanted} readings were emitted, the hub keeps {kept}") from cause
