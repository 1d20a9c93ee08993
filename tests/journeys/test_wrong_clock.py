"""The whole path with a hub that wakes up at the wrong time: it connects, and every reading gets its right one."""

import time
from pathlib import Path

import psycopg
from tests.support.household import RunningHousehold, running_household
from tests.support.truth import committed, differences, drained, emitted, stored
from tests.support.wrong_clock import waking_up_at, wrong_clock

from bedside_sim.processes import command

DAY_SECONDS = 86_400
SINCE = """
SELECT coalesce(max(abs(extract(epoch FROM stored_at - taken_at))), 0), count(*), array_agg(DISTINCT clock_quality)
FROM ingest.readings WHERE stored_at > to_timestamp(%s)
"""

SET_BY = """
SELECT body #>> '{fields,1,value}' FROM ingest.events
WHERE kind = 'clock_synced' AND body #>> '{fields,0,value}' = 'cloud' ORDER BY stored_at
"""


async def stored_since(dsn: str, since: float) -> tuple[float, int, list[str]]:
    """How late the latest reading was stored, how many there are, and how their times were found."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute(SINCE, (since,))).fetchone()
    assert row is not None
    return float(row[0]), int(row[1]), list(row[2] or [])


async def wake_hub(household: RunningHousehold, library: Path, wakes_at: int) -> None:
    """Stop the hub cleanly and start it again at another time, with the devices silent in between."""
    await household.control("pause")
    await committed(household)
    hub = household.started("hub").process
    hub.terminate()
    await hub.wait()
    agent = [command("bedside-agent"), "run", "--state", str(household.hub_state)]
    await household.processes.start("hub", [*waking_up_at(library, wakes_at), *agent])
    await household.control("resume")


async def test_a_hub_that_wakes_up_at_any_time_stores_every_reading_at_its_own(tmp_path: Path) -> None:
    library = wrong_clock(tmp_path)
    async with running_household(tmp_path) as household:
        dsn = str(household.endpoints["database_dsn"])
        now = round(time.time())
        for wakes_at in (DAY_SECONDS, now - 3 * DAY_SECONDS, now + 365 * DAY_SECONDS):
            since = time.time()
            await wake_hub(household, library, wakes_at)

            async def timed(since: float = since) -> bool:
                return (await stored_since(dsn, since))[1] >= 15

            await household.until(timed, f"readings of a hub that woke up at {wakes_at}")
            worst_seconds, _, qualities = await stored_since(dsn, since)
            # By the hub's own clock it would be days, years or half a century.
            assert worst_seconds < 30
            assert "unsynced" not in qualities
        await household.control("pause")
        await drained(household)
        with psycopg.connect(dsn) as connection:
            corrections = [abs(int(row[0])) for row in connection.execute(SET_BY)]
        assert sum(milliseconds > DAY_SECONDS * 1000 for milliseconds in corrections) == 3
        assert differences(emitted(household.journal), stored(dsn)) == []
