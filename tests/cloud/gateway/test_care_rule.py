"""Nobody sees what is not theirs, on any path that the application has; and every read of it is in the log."""

from collections.abc import AsyncIterator

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount
from tests.support.database import TestDatabase
from tests.support.log_guard import PLANTED
from tests.support.nats import TestBroker
from tests.support.ward import (
    ALERT_OF,
    MINE,
    NURSE,
    OTHERS,
    PLANTED_SAMPLE,
    PLANTED_VALUE,
    STRANGER,
    TECH,
    Ward,
    running_ward,
)

from bedside_cloud.contracts.fleet_api import API, FLEET, PLACE
from bedside_cloud.contracts.identity import Role
from bedside_cloud.engines.audit import checked, entries
from bedside_cloud.gateway.fleet import QUESTIONS
from bedside_profiles.readings import Metric
from bedside_profiles.waveforms import Signal

SIGNS = (*PLANTED, f"{PLANTED_VALUE:.0f}", str(PLANTED_SAMPLE), ALERT_OF[MINE], ALERT_OF[OTHERS])
"""What must not be in an answer to somebody who may not see it."""

LOGIN_PATHS = {"/login", "/logout", "/api/v1/login", "/api/v1/logout"}
SHOWS: dict[str, set[str]] = {
    "/": {"overview", "trend"},
    "/fragments/worklist": {"overview", "trend"},
    "/patients/{patient_id}": {"overview", "trend", "limits", "waveform"},
    "/fragments/patients/{patient_id}": {"overview", "trend", "limits", "waveform"},
    "/alerts/{alert_id}/acknowledge": {"acknowledged"},
    "/api/v1/patients": {"name"},
    "/api/v1/readings/latest": {"overview"},
    "/api/v1/patients/{patient_id}/trends/{metric}": {"trend"},
    "/api/v1/patients/{patient_id}/waveforms/{signal}": {"waveform"},
    "/api/v1/alerts": {"overview"},
    "/api/v1/alerts/{alert_id}/acknowledge": {"acknowledged"},
    "/api/v1/hubs": set(),
    "/api/v1/devices/unassigned": set(),
    f"{API}{PLACE}": set(),
    **{f"{API}{FLEET}/{one.subject}": set() for one in QUESTIONS},
}
"""Every path that answers about somebody, and what the log says of it. The event stream is tried by itself."""


@pytest.fixture
async def ward(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Ward]:
    async with running_ward(broker, database) as ward:
        yield ward


def url(path: str, patient_id: str) -> str:
    filled = path.replace("{patient_id}", patient_id).replace("{alert_id}", ALERT_OF[patient_id])
    return (
        filled.replace("{metric}", Metric.SPO2.value).replace("{signal}", Signal.ECG.value)
        + "?from_ms=0&until_ms=4000000000000"
    )


async def asked(ward: Ward, path: str, patient_id: str, headers: dict[str, str]) -> tuple[int, str]:
    is_asked = path.startswith(f"{API}{FLEET}/") and path != f"{API}{PLACE}"
    method = "POST" if path.endswith("acknowledge") or is_asked else "GET"
    body: dict[str, str] | None = {} if is_asked else None
    answer = await ward.client.request(method, url(path, patient_id), headers=headers, json=body)
    return answer.status_code, answer.text


def paths(ward: Ward) -> set[str]:
    """What the application itself says that it answers."""
    found = set()
    for route in ward.app.routes:
        if isinstance(route, APIRoute):
            found.add(route.path)
        else:
            assert (
                isinstance(route, Mount)
                or getattr(route, "path", "").endswith("openapi.json")
                or hasattr(route, "original_router")
            ), f"{route} is none that this test knows"
            router = getattr(route, "original_router", None)
            prefix = getattr(getattr(route, "include_context", None), "prefix", "")
            found |= {prefix + inner.path for inner in router.routes} if router else set()
    return found


def test_every_path_is_tried_here(ward: Ward) -> None:
    assert paths(ward) - LOGIN_PATHS - {"/events"} == set(SHOWS)


@pytest.mark.parametrize("path", SHOWS)
async def test_who_has_no_patient_sees_none(ward: Ward, path: str) -> None:
    for person_id, role in ((STRANGER, Role.NURSE), (TECH, Role.TECH), (NURSE, Role.FAMILY), (NURSE, Role.ADMIN)):
        for patient_id in (MINE, OTHERS):
            _, text = await asked(ward, path, patient_id, ward.headers(person_id, role))
            assert [sign for sign in SIGNS if sign in text] == []
    assert ward.log() == []


@pytest.mark.parametrize("path", SHOWS)
async def test_without_a_token_nothing_is_answered(ward: Ward, path: str) -> None:
    status, text = await asked(ward, path, MINE, {"accept": "application/json"})
    assert status == 401
    assert [sign for sign in SIGNS if sign in text] == []


@pytest.mark.parametrize("path", [path for path in SHOWS if "{" in path])
async def test_a_patient_of_others_is_as_if_there_were_none(ward: Ward, path: str) -> None:
    status, text = await asked(ward, path, OTHERS, ward.headers(NURSE, Role.NURSE))
    assert status == 403
    assert [sign for sign in SIGNS if sign in text] == []
    assert OTHERS not in {patient_id for _, patient_id, _ in ward.log()}


@pytest.mark.parametrize("path", SHOWS)
async def test_every_read_is_in_the_log_under_the_reader_s_name(ward: Ward, path: str) -> None:
    status, text = await asked(ward, path, MINE, ward.headers(NURSE, Role.NURSE))
    shown = SHOWS[path]
    assert status in ((200, 204, 303) if shown else (403,))
    assert set(ward.log()) == {(NURSE, MINE, what) for what in shown}
    assert OTHERS not in text
    checked(entries(ward.database.superuser_dsn))


async def test_without_the_log_nothing_is_shown(ward: Ward) -> None:
    with ward.database.away():
        for path in ("/", "/api/v1/patients"):
            status, text = await asked(ward, path, MINE, ward.headers(NURSE, Role.NURSE))
            assert status == 503
            assert [sign for sign in SIGNS if sign in text] == []
    status, _ = await asked(ward, "/", MINE, ward.headers(NURSE, Role.NURSE))
    assert status == 200


async def test_what_the_patient_said_of_an_alert_stands_with_it(ward: Ward) -> None:
    _, text = await asked(ward, "/", MINE, {**ward.headers(NURSE, Role.NURSE), "accept": "text/html"})
    assert "At home: “I am all right”" in text
    assert "The alert stands." in text
