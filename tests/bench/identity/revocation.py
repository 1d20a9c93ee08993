"""How soon a revoked hub is cut, with a thousand hubs connected, and whether it is ever let in again.

The clock starts before the technician's request and stops when the hub's own socket ends. The yardstick is the answer
to the same request for a hub that is not connected: what the database and both replicas of identity need.
"""

import asyncio
import random
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figure, percentile
from tests.bench.identity.fleet import AT_ONCE, Door, SmallHub, all_of, enrolled, open_door
from tests.support.engines import running_engines

from bedside_cloud.contracts.identity_administration import (
    HUB_ACCESS_SET,
    Access,
    HubAccessAnswer,
    HubAccessRequest,
)

HUBS, LONG_HUBS = 300, 1000
REVOKED, LONG_REVOKED = 50, 300
PATIENCE_SECONDS = 20.0


async def measure(*, long: bool) -> list[Figure]:
    """Percentiles of the time from the request to the end of the connection."""
    hubs, revoked = (LONG_HUBS, LONG_REVOKED) if long else (HUBS, REVOKED)
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as place, running_engines(Path(place)) as broker:
        async with open_door(broker) as door:
            fleet = await _fleet(door, hubs + revoked, Path(place))
            away, connected = fleet[:revoked], fleet[revoked:]
            let_in = await all_of(connected)
            try:
                alone = [await _answered(door, hub) for hub in away]
                chosen = random.Random(7).sample(connected, revoked)
                closed = [await _closed(door, hub) for hub in chosen]
                again = await all_of(chosen)
                others = sum(hub.ended.is_set() for hub in connected if hub not in chosen)
            finally:
                for hub in fleet:
                    hub.close()
    against = "the answer to the same request for a hub that is not connected"
    p99, yardstick = percentile(closed, 99), percentile(alone, 99)
    return [
        Figure("connected_hubs", let_in, "1"),
        Figure("revoke_to_closed_p50_ms", round(percentile(closed, 50), 1), "ms"),
        Figure("revoke_to_closed_p99_ms", round(p99, 1), "ms", against, round(p99 / yardstick, 2)),
        Figure("let_in_again", again, "1"),
        Figure("others_cut", others, "1"),
    ]


async def _fleet(door: Door, count: int, folder: Path) -> list[SmallHub]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> SmallHub:
        async with gate:
            return await enrolled(door, f"hub-{number}", folder)

    return list(await asyncio.gather(*(one(number) for number in range(count))))


async def _answered(door: Door, hub: SmallHub) -> float:
    """Milliseconds until the technician has the answer."""
    began = time.perf_counter()
    request = HubAccessRequest(hub_id=hub.hub_id, access=Access.REVOKED)
    await door.operator.request(HUB_ACCESS_SET, request, HubAccessAnswer)
    return 1000 * (time.perf_counter() - began)


async def _closed(door: Door, hub: SmallHub) -> float:
    """Milliseconds until the hub's connection has ended."""
    began = time.perf_counter()
    await _answered(door, hub)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await hub.ended.wait()
    assert hub.ended_at is not None
    return 1000 * (hub.ended_at - began)
