"""The cloud's database is restored from an older backup: the hub sends again what is missing, once."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from tests.support.household import running_household
from tests.support.truth import differences, drained, emitted, stored

from bedside_sim.demo_plan import RULES

pytestmark = pytest.mark.journey


async def test_after_a_restore_the_hub_rewinds_and_the_database_is_the_journal_again(tmp_path: Path) -> None:
    async with running_household(tmp_path, seed=5, rules=RULES) as household:
        backup = tmp_path / "backup"
        await asyncio.sleep(10)
        await household.tell_cloud("backup", str(backup))
        backed_up = sum(map(len, stored(household.endpoints["database_dsn"]).values()))
        await household.control("scenario", name="desaturation")
        await asyncio.sleep(25)
        await household.control("scenario", name="stable")
        await asyncio.sleep(10)
        await household.control("pause")
        await drained(household)
        dsn = household.endpoints["database_dsn"]
        truth = emitted(household.journal)
        assert differences(truth, stored(dsn)) == []
        alarms = alarms_stored(dsn)
        assert alarms, "an alarm was raised after the backup"

        cloud = household.started("cloud").process
        cloud.terminate()
        await cloud.wait()
        await household.tell_cloud("restore", str(backup))
        await household.start_cloud()
        await household.until(lambda: differences(truth, stored(dsn)) == [], "the rewind", seconds=90)
        assert sum(map(len, truth.values())) > backed_up, "the backup was older than the data"
        assert "cloud.generation_changed" in household.started("hub").said()
        await household.until(lambda: alarms_stored(dsn) == alarms, "the alarms")
        await household.until(lambda: alerts_raised(dsn) == 1, "the alert")


def alarms_stored(dsn: str) -> list[tuple[str, str]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT condition, state FROM ingest.alarms ORDER BY store_id, seq").fetchall()


def alerts_raised(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT 1 FROM alerting.alerts WHERE condition = 'spo2_low'").fetchall()
    return len(rows)
