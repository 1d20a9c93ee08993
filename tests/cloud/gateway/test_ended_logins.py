"""A log-in that is taken back is refused at once, on every path that it was good for: real identity, real gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import cast

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from tests.support.database import TestDatabase
from tests.support.nats import TestBroker
from tests.support.services import running_service, settings_of
from tests.support.ward import PLACE

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.fleet_api import API
from bedside_cloud.contracts.fleet_api import PLACE as PLACE_PATH
from bedside_cloud.contracts.identity import EndedLogin, EndedLogins, PersonSeries, Role
from bedside_cloud.contracts.identity_administration import (
    PERSON_ADD,
    PERSON_DISABLE,
    PERSON_ENABLE,
    PERSON_LOG_OUT,
    NamedPerson,
    PersonAnswer,
    PersonRequest,
)
from bedside_cloud.database.pool import Database
from bedside_cloud.engines.audit import checked, deeds
from bedside_cloud.gateway.app import make_app
from bedside_cloud.gateway.audit import Audit
from bedside_cloud.gateway.logins import Logins
from bedside_cloud.gateway.parts import COOKIE, Parts
from bedside_cloud.gateway.screens import stream
from bedside_cloud.identity.run import main

NAME, PASSWORD = "tech.one", "a long password"
PERSON = PersonRequest(name=NAME, role=Role.TECH, password=PASSWORD)


@dataclass(slots=True)
class Door:
    """The gateway's application and the bus of whoever holds the state directory."""

    app: FastAPI
    client: httpx.AsyncClient
    operator: Bus
    identity: AsyncExitStack
    database: TestDatabase

    @property
    def parts(self) -> Parts:
        return cast("Parts", self.app.state.parts)

    async def token(self, name: str = NAME, password: str = PASSWORD) -> str:
        answer = await self.client.post(f"{API}/login", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def code(self, token: str) -> int:
        """What the gateway answers to whoever shows the token."""
        answer = await self.client.get(f"{API}{PLACE_PATH}", headers={"authorization": f"Bearer {token}"})
        return answer.status_code

    async def have(self, subject: str, name: str = NAME) -> PersonAnswer:
        return await self.operator.request(subject, NamedPerson(name=name), PersonAnswer)

    def deeds(self) -> list[tuple[str, str, str]]:
        checked(deeds(self.database.superuser_dsn))
        return [(deed.actor, deed.deed, deed.subject) for deed in deeds(self.database.superuser_dsn)]


@pytest.fixture
async def door(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        identity = await stack.enter_async_context(AsyncExitStack())
        await identity.enter_async_context(running_service(main, settings_of("identity", broker, database)))
        operator = await stack.enter_async_context(Bus.open(broker.state.bus_settings("operator")))
        bus = await stack.enter_async_context(Bus.open(broker.state.bus_settings("gateway")))
        opened = await stack.enter_async_context(Database.open(database.settings("gateway"), ()))
        # Nobody asks in turn here: what is refused was told.
        app, _, logins = make_app(bus, Audit(opened), PLACE, secure_cookies=False)
        await logins.start()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://door"))
        await operator.request(PERSON_ADD, PERSON, PersonAnswer)
        await operator.request(PERSON_ADD, PERSON.model_copy(update={"name": "tech.two"}), PersonAnswer)
        yield Door(app, client, operator, identity, database)


async def test_all_log_ins_of_a_person_end_and_nobody_else_s(door: Door) -> None:
    mine, more, others = await door.token(), await door.token(), await door.token("tech.two")
    assert [await door.code(token) for token in (mine, more, others)] == [200, 200, 200]
    assert (await door.have(PERSON_LOG_OUT)).everywhere
    assert [await door.code(token) for token in (mine, more, others)] == [401, 401, 200]
    assert await door.code(await door.token()) == 200
    assert door.deeds() == [("operator", "logins_ended", f"person:{NAME}")]


async def test_who_logs_out_ends_that_log_in_alone(door: Door) -> None:
    here, elsewhere = await door.token(), await door.token()
    answer = await door.client.post(f"{API}/logout", headers={"authorization": f"Bearer {here}"})
    assert answer.status_code == 200
    assert [await door.code(token) for token in (here, elsewhere)] == [401, 200]
    assert (f"person:{NAME}", "login_ended", f"person:{NAME}") in door.deeds()


async def test_a_copied_cookie_is_good_for_nothing_after_the_console_s_log_out(door: Door) -> None:
    cookie = await door.token()
    answer = await door.client.post("/logout", headers={"cookie": f"{COOKIE}={cookie}"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert await door.code(cookie) == 401


async def test_a_new_password_or_role_ends_what_was_open(door: Door) -> None:
    before = await door.token()
    physician = PERSON.model_copy(update={"role": Role.PHYSICIAN})
    assert (await door.operator.request(PERSON_ADD, physician, PersonAnswer)).everywhere
    assert await door.code(before) == 401
    assert await door.code(await door.token()) == 403


async def test_a_disabled_person_is_out_at_once_and_until_enabled(door: Door) -> None:
    before = await door.token()
    assert (await door.have(PERSON_DISABLE)).disabled
    assert await door.code(before) == 401
    answer = await door.client.post(f"{API}/login", json={"name": NAME, "password": PASSWORD})
    assert answer.status_code == 401
    assert not (await door.have(PERSON_ENABLE)).disabled
    assert await door.code(before) == 401, "what ended stays ended"
    assert await door.code(await door.token()) == 200
    for subject in (PERSON_LOG_OUT, PERSON_DISABLE, PERSON_ENABLE):
        with pytest.raises(RefusedError, match="404 Nobody has that name"):
            await door.have(subject, "nobody")


async def test_an_open_event_stream_ends_within_a_second(door: Door) -> None:
    viewer = await door.parts.viewers.viewer(await door.token())
    other = await door.parts.viewers.viewer(await door.token("tech.two"))
    mine, others = stream(door.parts, viewer), stream(door.parts, other)
    assert "event: hello" in await anext(mine)
    assert "event: hello" in await anext(others)
    await door.have(PERSON_LOG_OUT)
    # Far less than a heartbeat: it was woken.
    async with asyncio.timeout(1):
        assert await anext(mine) == "event: expired\ndata: {}\n\n"
    with pytest.raises(StopAsyncIteration):
        await anext(mine)
    assert "event: beat" in await anext(others)


async def test_what_was_taken_back_stays_so_while_identity_is_away(door: Door) -> None:
    taken, good = await door.token(), await door.token("tech.two")
    assert await door.code(taken) == 200
    await door.have(PERSON_LOG_OUT)
    await door.identity.aclose()
    assert [await door.code(token) for token in (taken, good)] == [401, 200]


async def test_a_gateway_that_starts_later_asks_for_the_list(door: Door, broker: TestBroker) -> None:
    token, single, good = await door.token(), await door.token("tech.two"), await door.token("tech.two")
    viewers = [await door.parts.viewers.viewer(one) for one in (token, single, good)]
    await door.have(PERSON_LOG_OUT)
    await door.client.post(f"{API}/logout", headers={"authorization": f"Bearer {single}"})
    async with Bus.open(broker.state.bus_settings("gateway")) as bus:
        later = Logins(bus, lambda: None)
        await later.heard()
    ended = [later.is_ended(one.person_id, one.login_id, one.series, one.issued_at) for one in viewers]
    assert ended == [True, True, False]


async def test_after_a_restore_no_log_in_of_before_is_good(door: Door, broker: TestBroker) -> None:
    viewer = await door.parts.viewers.viewer(await door.token())
    with psycopg.connect(door.database.superuser_dsn) as connection:
        # As `restore` does; the token is of this very second, and the restore of the next one.
        connection.execute("UPDATE platform.generation SET since = now() + interval '1 second'")
    async with Bus.open(broker.state.bus_settings("gateway")) as bus:
        restored = Logins(bus, lambda: None)
        await restored.heard()
    assert restored.is_ended(viewer.person_id, viewer.login_id, viewer.series, viewer.issued_at)


async def test_news_that_come_late_or_twice_take_nothing_back(door: Door) -> None:
    logins = Logins(door.operator, lambda: None)
    newest = EndedLogins(
        refuse_issued_before_ms=5_000,
        series=(PersonSeries(person_id="p", series=3),),
        logins=(EndedLogin(login_id="one", expires_at_ms=253_402_300_799_999),),
    )
    for news in (newest, EndedLogins(series=(PersonSeries(person_id="p", series=2),)), EndedLogins(), newest):
        logins.take(news)
    assert logins.is_ended("p", "x", 2, 10)
    assert not logins.is_ended("p", "x", 3, 10)
    assert logins.is_ended("p", "one", 3, 10)
    assert logins.is_ended("p", "x", 3, 4)
    assert not logins.is_ended("p", "x", 3, 5)
