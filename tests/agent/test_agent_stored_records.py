"""An agent that is killed in the middle of a meter's memory: every record is kept, and none twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.agent.test_agent_process import CA
from tests.support.agent_process import WAIT_SECONDS, agent
from tests.support.collecting_hub import kept, values
from tests.support.mosquitto import free_port
from tests.support.readings import HUB
from tests.support.virtual_radio import CUFF

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.settings import add_device, first_text
from bedside_profiles.bluetooth import glucose
from bedside_profiles.bluetooth.record_access import Operator
from bedside_sim.devices.glucose_meter import GlucoseMeter
from bedside_sim.journal import Journal
from bedside_sim.radio import AdapterServer, Air

RECORDS, KILLS = 300, 6
MORNING = datetime(2026, 3, 2, 7, 0)  # noqa: DTZ001 - a device knows no zone


@asynccontextmanager
async def surroundings(tmp_path: Path) -> AsyncIterator[tuple[GlucoseMeter, AdapterServer]]:
    air, journal = Air(), Journal(tmp_path / "journal")
    meter = GlucoseMeter(air, journal, device_id="meter", address=CUFF)
    await meter.start()
    adapter = await AdapterServer.start(air, 0)
    try:
        yield meter, adapter
    finally:
        await meter.stop()
        await adapter.stop()
        journal.close()


def hub_with_a_meter(state: Path, hci_port: int) -> None:
    """It has no network."""
    CA.write(state / "identity", CA.leaf(HUB))
    quiet = 'sound_command = "dd of=/dev/null status=none"\n'
    radio = f"bumble:tcp-client:127.0.0.1:{hci_port}"
    (state / "hub.toml").write_text(first_text(HUB, "localhost", free_port(), radio) + quiet)
    add_device(state, DeviceEntry("meter", glucose.NAME, address=CUFF))


async def test_kills_in_the_middle_of_a_transfer_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    state, chance = tmp_path / "state", random.Random(5)
    async with surroundings(tmp_path) as (meter, adapter):
        hub_with_a_meter(state, adapter.port)
        made = [float(60 + place) for place in range(RECORDS)]
        for place, mg_dl in enumerate(made):
            meter.keep(mg_dl, at=MORNING + timedelta(minutes=place))
        for _ in range(KILLS):
            before, wanted = meter.keeper.handed_over, chance.randrange(1, RECORDS)
            async with agent(state) as process, asyncio.timeout(WAIT_SECONDS):
                while meter.keeper.handed_over < before + wanted:
                    await asyncio.sleep(0.001)
                process.kill()
                await process.wait()
        assert meter.keeper.reports == 0
        async with agent(state) as process, asyncio.timeout(WAIT_SECONDS):
            while meter.keeper.reports == 0:
                await asyncio.sleep(0.02)
            # Stopped in good order, so that what was heard is on the disk.
            process.terminate()
            await process.wait()
        assert {request.operator for request in meter.keeper.requests} == {Operator.ALL}
    assert sorted(float(value or 0) for value in values(await kept(state / "buffer.db"))) == made
