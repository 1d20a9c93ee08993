"""How long a hub stays on a link that swallows everything and says nothing, with its own limits.

A router that forgot the connection, a modem that hangs: the kernel sees no error, because whoever is in between goes on
acknowledging packets. The alarm arrives at a Mosquitto with mutual TLS by the connection after it.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.figures import Figure
from tests.support.certificates import Authority
from tests.support.linked_hub import linked_hub
from tests.support.mosquitto import Mosquitto
from tests.support.network import proxied
from tests.support.readings import HUB, alarm
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.uplink.connection import KEEPALIVE_SECONDS
from bedside_profiles.wire.topics import UpLane

LIMIT_SECONDS = 120.0
KEEPALIVE_ALONE_SECONDS = 2.0 * KEEPALIVE_SECONDS
"""When a client goes that trusts in its keepalive: it asks after one of it, and gives up after another."""


async def measure(*, long: bool) -> list[Figure]:
    """Seconds from the moment it was made until the cloud has an alarm, and a reading. There is one form only."""
    del long
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        alarm_s, readings_s = await asyncio.gather(
            _until_stored(Path(folder) / "alarm", UpLane.ALARMS),
            _until_stored(Path(folder) / "readings", UpLane.READINGS),
        )
    against = f"a keepalive of {KEEPALIVE_SECONDS} s alone, {KEEPALIVE_ALONE_SECONDS:g} s"
    return [
        Figure(name, round(seconds, 1), "s", against, round(seconds / KEEPALIVE_ALONE_SECONDS, 2))
        for name, seconds in (("alarm_stored_s", alarm_s), ("readings_stored_s", readings_s))
    ]


async def _until_stored(folder: Path, lane: UpLane) -> float:
    authority, cloud, loop = Authority(), StoringCloud(HUB), asyncio.get_running_loop()
    broker = Mosquitto(folder / "broker", authority)
    broker.start()
    try:
        async with (
            at_broker(cloud, broker.port, authority, folder / "cloud"),
            proxied(broker.port) as proxy,
            linked_hub(folder / "hub", proxy.port, authority) as hub,
        ):
            await cloud.until(lambda: bool(cloud.statuses))
            proxy.swallow()
            began = loop.time()
            if lane is UpLane.ALARMS:
                hub.store.append_alarm(alarm())
            else:
                hub.take(100)
            async with asyncio.timeout(LIMIT_SECONDS):
                while not cloud.count(lane):
                    await asyncio.sleep(0.01)
            return loop.time() - began
    finally:
        broker.stop()
