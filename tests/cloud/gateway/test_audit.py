"""Writing the audit log: before anything is shown, together with whoever reads at the same moment."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.ward import MINE, NURSE, OTHERS, Ward, alert, running_ward

from bedside_cloud.bus.errors import UnansweredError
from bedside_cloud.contracts import alerts
from bedside_cloud.contracts.identity import Role
from bedside_cloud.database.pool import Database
from bedside_cloud.engines.audit import checked, entries
from bedside_cloud.gateway.audit import Audit
from bedside_cloud.gateway.parts import Parts
from bedside_cloud.gateway.screens import stream
from bedside_cloud.gateway.viewers import Viewer

FOREVER = 4_000_000_000


@pytest.fixture
async def ward(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Ward]:
    async with running_ward(broker, database) as ward:
        yield ward


@pytest.fixture
async def audit(database: TestDatabase) -> AsyncIterator[Audit]:
    async with Database.open(database.settings("gateway"), ()) as opened:
        yield Audit(opened)


def viewer(person_id: str = NURSE) -> Viewer:
    return Viewer(person_id, "nurse", Role.NURSE, FOREVER)


async def test_an_event_stream_is_one_entry_for_each_patient_however_much_it_tells(ward: Ward) -> None:
    parts: Parts = ward.app.state.parts
    events = stream(parts, viewer())
    assert "event: hello" in await anext(events)
    assert ward.log() == [(NURSE, MINE, "live")], "written before the first event"
    for patient_id in (OTHERS, MINE, MINE):
        await ward.alerting.publish(alerts.CHANGED, alert(patient_id))
    heard = [await asyncio.wait_for(anext(events), 10) for _ in range(2)]
    assert all(MINE in event and OTHERS not in event for event in heard)
    assert ward.log() == [(NURSE, MINE, "live")]
    await events.aclose()  # type: ignore[attr-defined]


async def test_only_who_is_new_is_entered_when_a_stream_is_renewed(ward: Ward) -> None:
    parts: Parts = ward.app.state.parts
    who = viewer()
    assert await parts.care.live(who, frozenset({MINE})) == {MINE}
    assert who.reads == set()


async def test_a_request_without_reads_writes_nothing(audit: Audit, database: TestDatabase) -> None:
    await audit.write(viewer())
    assert checked(entries(database.superuser_dsn)).entry_no == 0


async def test_many_at_once_make_one_chain(audit: Audit, database: TestDatabase) -> None:
    people = [viewer(str(uuid.uuid4())) for _ in range(40)]
    for one in people:
        one.shown("overview", MINE, OTHERS)
    await asyncio.gather(*(audit.write(one) for one in people))
    found = list(entries(database.superuser_dsn))
    assert checked(found).entry_no == 80
    assert {(one.person_id, one.patient_id) for one in found} == {
        (person.person_id, patient_id) for person in people for patient_id in (MINE, OTHERS)
    }


async def test_two_gateways_at_once_make_one_chain(database: TestDatabase) -> None:
    async with (
        Database.open(database.settings("gateway"), ()) as one,
        Database.open(database.settings("gateway"), ()) as two,
    ):
        audits = (Audit(one), Audit(two))
        people = [viewer(str(uuid.uuid4())) for _ in range(30)]
        for place, person in enumerate(people):
            person.shown("trend", MINE)
            await asyncio.sleep(0)
            people[place] = person
        await asyncio.gather(*(audits[place % 2].write(person) for place, person in enumerate(people)))
    assert checked(entries(database.superuser_dsn)).entry_no == 30


async def test_what_cannot_be_written_fails_and_the_next_is_written(audit: Audit, database: TestDatabase) -> None:
    bad = viewer("not a person")
    bad.shown("overview", MINE)
    with pytest.raises(UnansweredError):
        await audit.write(bad)
    good = viewer()
    good.shown("overview", MINE)
    await audit.write(good)
    assert checked(entries(database.superuser_dsn)).entry_no == 1
