"""An alarm and live readings while a week's backlog drains over 256 kbit/s, and how fast it drains on loopback.

The whole path is real: devices on a simulated radio, the agent, the broker, ingest, alerting, PostgreSQL, each as a
process of its own. Between hub and broker is a proxy as slow as a modem. An alarm is a value far out of range, handed
to the radio; it is over when the cloud's alert is raised. A live reading is one that was taken meanwhile; it is over
when the database has it. LONG=1: 6,000,000 readings of backlog, else 200,000.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from tests.bench.figures import Figure, percentile
from tests.support.big_store import BORN, build_big_store
from tests.support.household import RunningHousehold, running_household
from tests.support.network import MOBILE, Proxy, proxied
from tests.support.truth import hub_status

from bedside_sim.demo_plan import RULES
from bedside_sim.errors import DemoError
from bedside_sim.household import MRN

SHORT_READINGS, LONG_READINGS = 200_000, 6_000_000
SHORT_ALARMS, LONG_ALARMS = 12, 120
FEW = 50
OXIMETER = "demo-oximeter"
LOW, NORMAL = {"spo2": 70, "pulse_rate": 80}, {"spo2": 97, "pulse_rate": 80}

QUICK = tuple(replace(rule, onset_delay_ms=0, clear_delay_ms=0) for rule in RULES if rule.condition == "spo2_low")

Connection = psycopg.AsyncConnection[Any]


async def measure(*, long: bool) -> list[Figure]:
    """Percentiles over the slow link, and readings a second over both."""
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        async with _draining(Path(folder), LONG_READINGS if long else SHORT_READINGS) as (household, proxy):
            dsn = household.endpoints["database_dsn"]
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                return await _measured(household, proxy, connection, long=long)


async def _measured(household: RunningHousehold, proxy: Proxy, connection: Connection, *, long: bool) -> list[Figure]:
    loop = asyncio.get_running_loop()
    begun, before, bytes_before = loop.time(), await _stored(connection), proxy.carried_bytes
    alarms = await _alarms(household, connection, LONG_ALARMS if long else SHORT_ALARMS)
    seconds = loop.time() - begun
    slow_rate = (await _stored(connection) - before) / seconds
    used = (proxy.carried_bytes - bytes_before) / seconds / MOBILE.bytes_per_second
    live = await _live(connection, seconds)
    if not await _waiting(household):
        raise RuntimeError("the backlog was over before the alarms were")
    proxy.line = None
    begun, before = loop.time(), await _stored(connection)
    async with asyncio.timeout(1800):
        while await _waiting(household):
            await asyncio.sleep(0.5)
    fast_rate = (await _stored(connection) - before) / (loop.time() - begun)
    await asyncio.sleep(1)
    missing = (LONG_READINGS if long else SHORT_READINGS) - await _stored(connection)
    return [
        *(Figure(f"alarm_p{percent}_s", round(percentile(alarms, percent), 3), "s") for percent in (50, 99)),
        Figure("alarms", len(alarms), "alarms"),
        *(Figure(f"live_stored_p{percent}_s", round(percentile(live, percent), 3), "s") for percent in (50, 99)),
        Figure("live_readings", len(live), "readings"),
        Figure("drain_at_256_kbit_readings_per_s", round(slow_rate), "1/s"),
        Figure("link_used", round(used, 2), "of 256 kbit/s"),
        Figure("drain_readings_per_s", round(fast_rate), "1/s"),
        Figure("backlog_missing", missing, "readings"),
    ]


@asynccontextmanager
async def _draining(folder: Path, readings: int) -> AsyncIterator[tuple[RunningHousehold, Proxy]]:
    """A household whose hub has come back with so much to tell, over a slow link."""
    async with running_household(folder, rules=QUICK, start=False) as household:
        store = household.hub_state / "buffer.db"
        building = asyncio.to_thread(build_big_store, store, readings, device_id=OXIMETER)
        await asyncio.gather(building, household.start_cloud())
        async with proxied(household.endpoints["broker_port"], MOBILE) as proxy:
            await household.provision()
            await household.start_devices()
            await household.enrol(f"127.0.0.1:{proxy.port}")
            # All of the backlog is the patient's: alerting and the console are told of it too.
            await household.tell_cloud("assign", OXIMETER, MRN, "--from", "2026-01-01")
            await household.start_hub()
            await _linked(household)
            yield household, proxy
            await household.stop()


async def _linked(household: RunningHousehold) -> None:
    """Until every device is heard and the cloud has begun to store."""
    async with asyncio.timeout(120):
        while True:
            await asyncio.sleep(0.3)
            try:
                status = await hub_status(household)
            except DemoError:
                status = {"last_receipt_ms": None}  # It has just been started: nobody answers yet.
            if status["last_receipt_ms"] and all(one["link"] == "connected" for one in status["devices"]):
                return


async def _alarms(household: RunningHousehold, connection: Connection, number: int) -> list[float]:
    """Seconds from the moment at which each value was handed to the radio until its alert was raised."""
    took = []
    for place in range(number):
        emitted = await household.control("emit", device=OXIMETER, values=LOW)
        if not emitted["emitted"]:
            raise RuntimeError("nobody listens to the oximeter")
        raised_ms = await _raised(connection, place + 1)
        took.append((raised_ms - float(emitted["utc_ms"])) / 1000)
        await household.control("emit", device=OXIMETER, values=NORMAL)
        await _cleared(connection)
    return took


async def _raised(connection: Connection, number: int) -> float:
    """When the alert of that number was raised, in UTC milliseconds."""
    statement = (
        "SELECT extract(epoch FROM history.at) * 1000 FROM alerting.alert_history AS history "
        "JOIN alerting.alerts USING (alert_id) WHERE history.version = 1 AND condition = 'spo2_low' "
        "ORDER BY history.at OFFSET %s"
    )
    async with asyncio.timeout(60):
        while True:
            row = await (await connection.execute(statement, (number - 1,))).fetchone()
            if row is not None:
                return float(row[0])
            await asyncio.sleep(0.02)


async def _cleared(connection: Connection) -> None:
    statement = "SELECT count(*) FROM alerting.alerts WHERE cleared_at IS NULL AND condition = 'spo2_low'"
    async with asyncio.timeout(60):
        while await (await connection.execute(statement)).fetchone() != (0,):
            await asyncio.sleep(0.02)


async def _live(connection: Connection, seconds: float) -> list[float]:
    """Seconds from taking to storing of each reading taken in the last `seconds`, of which all have arrived by now."""
    await asyncio.sleep(3)
    statement = (
        "SELECT extract(epoch FROM stored_at - taken_at) FROM ingest.readings WHERE store_id <> %(born)s "
        "AND taken_at BETWEEN now() - make_interval(secs => %(from)s) AND now() - make_interval(secs => 3)"
    )
    rows = await connection.execute(statement, {"born": BORN, "from": seconds + 3})
    return [float(row[0]) for row in await rows.fetchall()]


async def _stored(connection: Connection) -> int:
    """Readings of the backlog that the cloud's receipts cover."""
    statement = (
        "SELECT coalesce(sum(upper(part) - lower(part)), 0) FROM ingest.lanes, unnest(stored) AS part "
        "WHERE store_id = %s AND lane = 'readings'"
    )
    row = await (await connection.execute(statement, (BORN,))).fetchone()
    return int(row[0]) if row else 0


async def _waiting(household: RunningHousehold) -> int:
    """Backlog that no receipt covers; live readings come and go, a few at a time."""
    waiting = int((await hub_status(household))["waiting"]["readings"])
    return waiting if waiting > FEW else 0
