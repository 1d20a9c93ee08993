"""A hundred seconds in which everything is killed or cut once: what was emitted equals what is stored, exactly once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from tests.support.household import RunningHousehold, running_household
from tests.support.network import Proxy, proxied
from tests.support.truth import committed, differences, drained, emitted, hub_status, sent, stored

from bedside_sim.demo_plan import RULES

pytestmark = pytest.mark.journey

RUN_SECONDS = 105


class Chaos:
    """A household whose hub reaches the broker through a proxy that can be cut."""

    def __init__(self, household: RunningHousehold, proxy: Proxy) -> None:
        self.household = household
        self.proxy = proxy

    async def kill_hub(self) -> None:
        """SIGKILL between two ticks, when all that was emitted is on the hub's disk.

        A reading that power takes away before its commit never was the hub's (`test_a_kill_in_mid_flow`).
        """
        await self.household.control("pause")
        await committed(self.household)
        await self.restart_hub()
        await self.household.control("resume")

    async def restart_hub(self) -> None:
        await self.household.kill("hub")
        await self.household.start_hub()

    async def cut_network(self) -> None:
        self.proxy.cut()
        await asyncio.sleep(6)
        self.proxy.restore()

    async def cut_radio(self) -> None:
        for device in ("demo-oximeter", "demo-strap"):
            await self.household.control("vanish", device=device)
        await asyncio.sleep(5)
        for device in ("demo-oximeter", "demo-strap"):
            await self.household.control("reappear", device=device)

    async def desaturate(self) -> None:
        await self.household.control("scenario", name="desaturation")

    async def recover(self) -> None:
        await self.household.control("scenario", name="recovery")

    def killing(self, process: str) -> Callable[[], Awaitable[None]]:
        return lambda: self.household.kill_and_wait(process)


@pytest.fixture
async def chaos(tmp_path: Path) -> AsyncIterator[Chaos]:
    async with running_household(tmp_path, seed=7, rules=RULES, start=False) as household:
        await household.start_cloud()
        async with proxied(household.endpoints["broker_port"]) as proxy:
            await household.provision()
            await household.start_devices()
            await household.enrol(f"127.0.0.1:{proxy.port}")
            await household.start_hub()
            yield Chaos(household, proxy)
            await household.stop()


async def connected(household: RunningHousehold) -> None:
    """Until every device's link is up."""
    async with asyncio.timeout(60):
        while True:
            try:
                devices = (await hub_status(household))["devices"]
            except Exception:  # the hub's socket is not there yet: it has just been started
                devices = [{"link": None}]
            if all(one["link"] == "connected" for one in devices):
                return
            await asyncio.sleep(0.3)


async def test_everything_is_killed_and_cut_and_nothing_is_lost_or_doubled(chaos: Chaos) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await connected(chaos.household)
    plan: list[tuple[float, Callable[[], Awaitable[None]]]] = [
        (4, chaos.killing("ingest")),
        (9, chaos.desaturate),
        (12, chaos.cut_network),
        (21, chaos.kill_hub),
        (30, chaos.killing("alerting")),
        (36, chaos.cut_radio),
        (45, chaos.killing("postgres")),
        (56, chaos.killing("broker")),
        (65, chaos.recover),
        (68, chaos.cut_network),
        (77, chaos.cut_radio),
        (86, chaos.killing("identity-1")),
        (90, chaos.killing("registry")),
    ]
    for at, fault in plan:
        await asyncio.sleep(max(0.0, begun + at - loop.time()))
        await fault()
    await asyncio.sleep(max(0.0, begun + RUN_SECONDS - loop.time()))
    await chaos.household.control("pause")
    await drained(chaos.household)
    truth = emitted(chaos.household.journal)
    assert set(truth) == {"demo-oximeter", "demo-cuff", "demo-strap", "demo-nonin"}
    assert sum(map(len, truth.values())) > 300
    dsn = chaos.household.endpoints["database_dsn"]
    assert differences(truth, stored(dsn)) == []
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM ingest.dead_letters").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM ingest.conflicts").fetchone() == (0,)
        owed = "SELECT count(*) FROM ingest.outbox"
        async with asyncio.timeout(30):
            while connection.execute(owed).fetchone() != (0,):
                connection.rollback()
                await asyncio.sleep(0.2)
        alerts = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE cleared_at IS NULL) FROM alerting.alerts "
            "WHERE condition = 'spo2_low'"
        ).fetchone()
    assert alerts == (1, 0), "one desaturation, one alert, over after the recovery"


async def test_a_kill_in_mid_flow_loses_only_what_was_not_yet_the_hubs(chaos: Chaos) -> None:
    await connected(chaos.household)
    await asyncio.sleep(5)
    for _ in range(3):
        await asyncio.sleep(3.3)
        await chaos.restart_hub()
        await connected(chaos.household)
    await asyncio.sleep(3)
    await chaos.household.control("pause")
    await sent(chaos.household)
    found = differences(emitted(chaos.household.journal), stored(chaos.household.endpoints["database_dsn"]))
    assert [one.surplus for one in found if one.surplus] == [], "nothing is stored twice or made up"
    lost_ticks = {one.device_id: len(one.missing) for one in found}
    assert all(count <= 3 * 8 for count in lost_ticks.values()), "at most one tick's members a kill"
