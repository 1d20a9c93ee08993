"""“That was not me” on a paired telephone's page: an event that names the measurement, and nobody else can say it."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support import certificates
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import HUB, OXIMETER, measurement, plan

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.notices import AlertBook
from bedside_agent.alarms.plan import Authority
from bedside_agent.buffer.store import Store
from bedside_agent.homepage.alarm_test import AlarmTest
from bedside_agent.homepage.all_right import AllRight
from bedside_agent.homepage.call_wish import CallWish
from bedside_agent.homepage.home import Home
from bedside_agent.homepage.pairing import COOKIE, Pairing
from bedside_agent.homepage.server import serving
from bedside_agent.intake import Intake
from bedside_profiles.readings import Metric, Modality
from bedside_profiles.wire.events import NOT_MINE, EventField, not_mine_fields

CA = certificates.Authority()
CODE = "abcd-efgh-jkmn-pqrs"


class Link:
    """It is connected."""

    connected_since_ms: int | None = NOON_MS


@dataclass
class Bedroom:
    """The page over real rules and a real buffer; `noted` is what it would write down."""

    home: Home
    store: Store
    intake: Intake
    clock: ManualClock
    noted: list[tuple[str, tuple[EventField, ...]]]
    pairing: Pairing
    port: int

    async def measure(self, *values: tuple[Metric, float], modality: Modality = Modality.SPOT) -> None:
        members = [replace(measurement(metric, value), modality=modality, is_live=True) for metric, value in values]
        await self.intake.take(OXIMETER, tuple(members), self.clock.now())
        await self.intake.stored()

    async def press(self, path: str, cookie: str | None) -> int:
        def asked() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", path, headers={"cookie": f"{COOKIE}={cookie}"} if cookie else {})
                return connection.getresponse().status
            finally:
                connection.close()

        return await asyncio.to_thread(asked)


@asynccontextmanager
async def bedroom(folder: Path) -> AsyncIterator[Bedroom]:
    clock = ManualClock()
    store = await Store.open(folder / "buffer.db", clock, commit_window_ms=1)
    keeper = AlarmKeeper(store, clock, Authority(HUB, CA.root.der), silence_ms=600_000)
    await keeper.offer(CA.signer().sign(plan(rules=())))
    noted: list[tuple[str, tuple[EventField, ...]]] = []
    pairing = Pairing(lambda: CODE, time.monotonic)
    home = Home(
        keeper,
        AlertBook(store),
        store,
        clock,
        Link,
        lambda: NOON_MS,
        CallWish(keeper, store, lambda: None),
        AllRight(lambda kind: None),
        AlarmTest(keeper, clock, lambda kind: None),
        pairing,
        lambda kind, *fields: noted.append((kind, fields)),
    )
    try:
        with serving(("127.0.0.1", 0), "en", home.show, home.speak, {}, pairing, home.disown) as port:
            yield Bedroom(home, store, Intake(store, keeper), clock, noted, pairing, port)
    finally:
        await store.close()


PRESSURE = ((Metric.SYSTOLIC_PRESSURE, 121.0), (Metric.DIASTOLIC_PRESSURE, 79.0), (Metric.PULSE_RATE, 71.0))


async def test_a_disowned_measurement_is_named_whole_and_leaves_the_page(tmp_path: Path) -> None:
    async with bedroom(tmp_path) as room:
        await room.measure((Metric.SPO2, 97.0), modality=Modality.CONTINUOUS)
        await room.measure(*PRESSURE)
        shown = (await room.home.show("en", is_paired=True)).values
        (named,) = {one.disown for one in shown if one.disown is not None}
        cookie = room.pairing.pair(CODE)
        assert await room.press(f"/not-mine?of={named}", cookie) == 303
        assert room.noted == [(NOT_MINE, not_mine_fields(room.store.store_id, named))]
        left = (await room.home.show("en", is_paired=True)).values
        assert [one.text.partition(":")[0] for one in left] == ["Your oxygen level"]
        assert await room.press(f"/not-mine?of={named}", cookie) == 200, "it is not shown any more"
        assert len(room.noted) == 1


async def test_nobody_disowns_what_is_none_of_theirs(tmp_path: Path) -> None:
    async with bedroom(tmp_path) as room:
        await room.measure((Metric.SPO2, 97.0), modality=Modality.CONTINUOUS)
        await room.measure(*PRESSURE)
        cookie = room.pairing.pair(CODE)
        for path, shown in (
            ("/not-mine?of=2", None),
            ("/not-mine?of=2", "guessed"),
            ("/not-mine?of=1", cookie),
            ("/not-mine?of=99", cookie),
            ("/not-mine?of=", cookie),
            ("/not-mine?of=-2", cookie),
            ("/not-mine?of=%C2%B2", cookie),
            (f"/not-mine?of={'9' * 400}", cookie),
            ("/not-mine", cookie),
        ):
            assert await room.press(path, shown) == 200
        assert room.noted == []
        assert len((await room.home.show("en", is_paired=True)).values) == 3
