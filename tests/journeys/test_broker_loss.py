"""The broker is stopped and its store deleted while alarms and readings flow: no reading and no alert is missing."""

import asyncio
import os
import re
import signal
from pathlib import Path

import psycopg
import pytest
from tests.support.household import RunningHousehold, running_household
from tests.support.truth import differences, drained, emitted, hub_status, stored

from bedside_sim.demo_plan import RULES

pytestmark = pytest.mark.journey


def kept_bytes(household: RunningHousehold) -> int:
    """What the broker's store holds."""
    return sum(one.stat().st_size for one in (household.cloud_state / "broker" / "jetstream").rglob("*.blk"))


async def lose_the_broker(household: RunningHousehold, number: int) -> None:
    """Its store is moved away under it, and it is killed: what it comes back with is empty."""
    store = household.cloud_state / "broker" / "jetstream"
    assert kept_bytes(household), "there is something to lose"
    store.rename(store.with_name(f"lost-{number}"))
    await household.kill_and_wait("broker")


async def lose_what_only_the_broker_has(household: RunningHousehold, number: int) -> None:
    """Ingest stands still, so that what the broker acknowledged is in its store and nowhere else but on the hub."""
    ingest = household.row("ingest")["pid"]
    os.kill(ingest, signal.SIGSTOP)
    before = kept_bytes(household)
    await until_raised(household, number)
    await household.until(lambda: kept_bytes(household) > before, "what the broker took")
    assert (await hub_status(household))["waiting"]["alarms"], "the broker's word is no receipt"
    await lose_the_broker(household, number)
    os.kill(ingest, signal.SIGCONT)


def raised_by_hub(household: RunningHousehold) -> int:
    """How many alarms the hub itself says that it raised."""
    return len(re.findall(r"alarm\.raised", (household.state / "logs" / "hub.log").read_text()))


async def until_raised(household: RunningHousehold, number: int) -> None:
    async with asyncio.timeout(60):
        while raised_by_hub(household) < number:
            await asyncio.sleep(0.02)


async def test_nothing_is_missing_after_the_broker_lost_its_store(tmp_path: Path) -> None:
    async with running_household(tmp_path, seed=3, rules=RULES) as household:
        await asyncio.sleep(5)
        for number in (1, 2):
            await household.control("scenario", name="desaturation")
            if number == 1:
                await until_raised(household, number)
                # The alarm is on its way: at the hub, in the stream, or at alerting.
                await lose_the_broker(household, number)
            else:
                await lose_what_only_the_broker_has(household, number)
            await asyncio.sleep(3)
            await household.control("scenario", name="stable")
            await asyncio.sleep(12)
        await household.control("pause")
        await drained(household)
        dsn = household.endpoints["database_dsn"]
        assert differences(emitted(household.journal), stored(dsn)) == []
        with psycopg.connect(dsn) as connection:
            async with asyncio.timeout(30):
                while connection.execute("SELECT count(*) FROM ingest.outbox").fetchone() != (0,):
                    connection.rollback()
                    await asyncio.sleep(0.2)
            episodes = connection.execute(
                "SELECT DISTINCT body->>'episode' FROM ingest.alarms WHERE state = 'raised'"
            ).fetchall()
            alerts = connection.execute("SELECT condition, cleared_at IS NULL FROM alerting.alerts").fetchall()
        assert len(episodes) == raised_by_hub(household) >= 2
        assert [condition for condition, _ in alerts].count("spo2_low") == 2
