"""Every service gets a new key and a new password while readings and an alarm are on their way."""

import asyncio
import json
import ssl
from pathlib import Path

import nats
import nats.errors
import psycopg
import pytest
from tests.support.cloud import bedside_cloud
from tests.support.household import RunningHousehold, household
from tests.support.truth import differences, drained, emitted, stored

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.supervisor.state import State

__all__ = ["household"]

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]


async def is_let_in(state: State, user: str, seed: str, folder: Path) -> bool:
    """Whether the broker takes that key."""
    file = folder / f"{user}.seed"
    file.write_text(seed)
    settings = state.bus_settings(user)
    context = ssl.create_default_context(cafile=str(settings.ca_file))
    try:
        client = await nats.connect(settings.url, nkeys_seed=str(file), tls=context, allow_reconnect=False)
    except (nats.errors.Error, OSError):
        return False
    is_in = client.is_connected
    await client.close()
    return is_in


def connects(state: State, service: str, password: str) -> bool:
    """Whether the database takes that password."""
    try:
        with psycopg.connect(state.postgres.dsn(service, password)):
            return True
    except psycopg.OperationalError:
        return False


async def test_new_keys_cost_no_message_and_the_earlier_ones_are_refused(
    household: RunningHousehold, tmp_path: Path
) -> None:
    async def said_low() -> bool:
        values = {"spo2": 70, "pulse_rate": 70}
        return bool((await household.control("emit", device="demo-oximeter", values=values))["emitted"])

    await household.until(lambda: "plan.applied" in household.started("hub").said(), "the plan at the hub")
    before = State.open(household.cloud_state)
    earlier = {name: seed for name, seed in before.broker_secrets.seeds.items() if name != "operator"}
    pids = {row["name"]: row["pid"] for row in household.status()["processes"]}
    await household.until(said_low, "the oximeter's link")
    result = await asyncio.to_thread(bedside_cloud, "credentials", "rotate", "--json", state=household.cloud_state)
    assert result.returncode == 0, result.stderr + household.started("cloud").said()
    assert json.loads(result.stdout)["rotated_at_ms"] > 0

    now = State.open(household.cloud_state)
    rows = {row["name"]: row for row in household.status()["processes"]}
    assert {name for name, pid in pids.items() if rows[name]["pid"] == pid} == {"postgres"}
    assert {row["restarts"] for row in rows.values()} == {0}, "nothing died"
    for name, seed in earlier.items():
        assert not await is_let_in(now, name, seed, tmp_path), name
    assert await is_let_in(now, "ingest", now.broker_secrets.seeds["ingest"], tmp_path)
    for service in [entry.name for entry in SERVICES if entry.schema is not None]:
        assert not connects(now, service, before.database_passwords[service]), service
        assert connects(now, service, now.database_passwords[service]), service

    await household.control("pause")
    await drained(household)
    assert differences(emitted(household.journal), stored(household.endpoints["database_dsn"])) == []
    with psycopg.connect(household.endpoints["database_dsn"]) as connection:
        async with asyncio.timeout(30):
            while connection.execute("SELECT condition FROM alerting.alerts").fetchall() != [("spo2_low",)]:
                connection.rollback()
                await asyncio.sleep(0.2)
    await household.control("resume")
