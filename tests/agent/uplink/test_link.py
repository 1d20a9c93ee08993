"""When a hub tries again: spread after a loss, never in a storm, and at once enough for an alarm. Time is virtual."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import looptime
import pytest
from tests.support.readings import HUB, alarm, reading
from tests.support.storing_cloud import StoringCloud
from tests.support.virtual_link import Network, virtual_hub

from bedside_profiles.wire.topics import UpLane

HOUR = 3600.0

Virtual = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, at_once: None) -> Network:
    network = Network(StoringCloud(HUB))
    monkeypatch.setattr("bedside_agent.uplink.link.connected", network.connected)
    return network


@pytest.fixture
def virtual() -> Virtual:
    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            runner.run(test)

    return run


def test_a_broker_that_lets_in_and_drops_is_not_hit_the_harder(
    tmp_path: Path, network: Network, virtual: Virtual
) -> None:
    async def test() -> None:
        network.drops_at_once = True
        async with virtual_hub(tmp_path / "buffer.db", network):
            await asyncio.sleep(HOUR)

    virtual(test())
    assert 60 <= len(network.attempts) <= 200, "one in half a minute, more or less"


def test_the_first_attempt_after_a_loss_is_spread_and_the_ones_after_it_further(
    tmp_path: Path, network: Network, virtual: Virtual
) -> None:
    async def test() -> None:
        async with virtual_hub(tmp_path / "buffer.db", network):
            for _ in range(100):
                await asyncio.sleep(30)
                cut_at.append(asyncio.get_running_loop().time())
                network.down()
                network.up()
                await asyncio.sleep(90)

    cut_at: list[float] = []
    virtual(test())
    waited = [next(at for at in network.attempts if at >= cut) - cut for cut in cut_at]
    assert max(waited) <= 20
    assert sum(waited) / len(waited) == pytest.approx(10, abs=2), "each part of the span is as likely"


def test_an_alarm_does_not_wait_for_the_others_turn(tmp_path: Path, network: Network, virtual: Virtual) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        network.down()
        async with virtual_hub(tmp_path / "buffer.db", network) as (store, _):
            store.append_readings([reading()])
            await asyncio.sleep(HOUR)
            for _ in range(20):
                network.up()
                raised_at = loop.time()
                await store.append_alarm(alarm())[1]
                while store.waiting()[UpLane.ALARMS]:
                    await asyncio.sleep(0.05)
                took.append(loop.time() - raised_at)
                network.down()
                await asyncio.sleep(600)

    took: list[float] = []
    virtual(test())
    assert max(took) <= 4, "two seconds at most until the attempt, and what connecting takes"


def test_while_an_alarm_waits_the_attempts_stay_bounded(tmp_path: Path, network: Network, virtual: Virtual) -> None:
    async def test() -> None:
        network.down()
        async with virtual_hub(tmp_path / "buffer.db", network) as (store, _):
            store.append_alarm(alarm())
            await asyncio.sleep(HOUR)

    virtual(test())
    assert 150 <= len(network.attempts) <= 350
    assert max(later - earlier for earlier, later in pairwise(network.attempts)) <= 31
