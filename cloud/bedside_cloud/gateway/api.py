"""The HTTP API, version 1: what scripts and other consoles use; the pages show the same."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from bedside_cloud.contracts.alerts import Alert, AlertList
from bedside_cloud.contracts.identity import LOGIN, LOGOUT, LoginAnswer, LoginRequest, LogoutRequest, Role
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import LatestAnswer, TrendAnswer, UnassignedAnswer, WaveformsAnswer
from bedside_cloud.contracts.registry import HubList, PatientList
from bedside_cloud.database.times import utc_now_ms
from bedside_cloud.gateway.care import ForbiddenError
from bedside_cloud.gateway.parts import Parts, PartsHere, ViewerHere
from bedside_cloud.gateway.viewers import Viewer
from bedside_profiles.readings import Metric
from bedside_profiles.waveforms import Signal

router = APIRouter(tags=["v1"])

TECHNICAL_ROLES = frozenset({Role.TECH, Role.ADMIN})
LATEST_MS = 253402300799999
UtcMsQuery = Annotated[int, Query(ge=0, le=LATEST_MS)]


class Problem(BaseModel):
    """What is wrong, in a sentence."""

    detail: str


PROBLEMS: dict[int | str, dict[str, object]] = {
    401: {"model": Problem, "description": "Log in first."},
    403: {"model": Problem, "description": "Not in your care, or it does not exist."},
    503: {"model": Problem, "description": "A service did not answer."},
}
LOGIN_PROBLEMS: dict[int | str, dict[str, object]] = {
    400: {"model": Problem, "description": "The body is no JSON."},
    401: {"model": Problem, "description": "The name or the password is wrong."},
    429: {"model": Problem, "description": "Too many tries. Wait a minute."},
    503: PROBLEMS[503],
}


@router.post("/login", responses=LOGIN_PROBLEMS)
async def login(parts: PartsHere, request: LoginRequest) -> LoginAnswer:
    """A short-lived access token for a name and a password; send it as `Authorization: Bearer`."""
    return await parts.bus.request(LOGIN, request, LoginAnswer)


@router.post("/logout", responses={code: PROBLEMS[code] for code in (401, 503)})
async def logout(parts: PartsHere, viewer: ViewerHere) -> Empty:
    """End the log-in of the token that is sent; other log-ins of the same person stay."""
    return await end_login(parts, viewer)


async def end_login(parts: Parts, viewer: Viewer) -> Empty:
    """Have identity end it; BusError when that was not possible."""
    request = LogoutRequest(
        person_id=viewer.person_id, login_id=viewer.login_id, expires_at_ms=viewer.expires_at * 1000
    )
    return await parts.bus.request(LOGOUT, request, Empty, actor=viewer.name)


@router.get("/patients", responses={code: PROBLEMS[code] for code in (401, 503)})
async def patients(parts: PartsHere, viewer: ViewerHere) -> PatientList:
    """Patients in the caller's care."""
    return PatientList(patients=await parts.care.patients(viewer))


@router.get("/readings/latest", responses={code: PROBLEMS[code] for code in (401, 503)})
async def latest(parts: PartsHere, viewer: ViewerHere) -> LatestAnswer:
    """The newest reading of every metric of every patient in the caller's care."""
    return LatestAnswer(readings=(await parts.care.overview(viewer, utc_now_ms())).readings)


@router.get("/patients/{patient_id}/trends/{metric}", responses={code: PROBLEMS[code] for code in (401, 403, 503)})
async def trend(
    parts: PartsHere, viewer: ViewerHere, patient_id: str, metric: Metric, from_ms: UtcMsQuery, until_ms: UtcMsQuery
) -> TrendAnswer:
    """Readings of one metric with `from_ms` ≤ taken_at < `until_ms` (UTC milliseconds), at most 5,000, newest win."""
    return TrendAnswer(points=await parts.care.trend(viewer, patient_id, metric, from_ms, until_ms))


@router.get("/patients/{patient_id}/waveforms/{signal}", responses={code: PROBLEMS[code] for code in (401, 403, 503)})
async def waveforms(
    parts: PartsHere, viewer: ViewerHere, patient_id: str, signal: Signal, from_ms: UtcMsQuery, until_ms: UtcMsQuery
) -> WaveformsAnswer:
    """Pieces of one signal with `from_ms` ≤ taken_at < `until_ms` (UTC milliseconds), at most 600, newest win."""
    return WaveformsAnswer(pieces=await parts.care.waveform(viewer, patient_id, signal, from_ms, until_ms))


@router.get("/alerts", responses={code: PROBLEMS[code] for code in (401, 503)})
async def alerts(parts: PartsHere, viewer: ViewerHere) -> AlertList:
    """Alerts of patients in the caller's care: active, unacknowledged, or changed in the last 24 hours."""
    return AlertList(alerts=(await parts.care.overview(viewer, utc_now_ms())).alerts)


@router.post("/alerts/{alert_id}/acknowledge", responses={code: PROBLEMS[code] for code in (401, 403, 503)})
async def acknowledge(parts: PartsHere, viewer: ViewerHere, alert_id: str) -> Alert:
    """Put the caller's name on an alert. The first acknowledgement stands; a second changes nothing."""
    return await parts.care.acknowledge(viewer, alert_id, utc_now_ms())


@router.get("/hubs", responses={code: PROBLEMS[code] for code in (401, 403, 503)})
async def hubs(parts: PartsHere, viewer: ViewerHere) -> HubList:
    """Every hub; for technicians."""
    technical(viewer)
    return await parts.care.hubs()


@router.get("/devices/unassigned", responses={code: PROBLEMS[code] for code in (401, 403, 503)})
async def unassigned(parts: PartsHere, viewer: ViewerHere) -> UnassignedAnswer:
    """Devices whose readings wait for a patient, without their values; for technicians."""
    technical(viewer)
    return await parts.care.unassigned()


def technical(viewer: Viewer) -> None:
    """ForbiddenError unless the viewer is a technician."""
    if viewer.role not in TECHNICAL_ROLES:
        raise ForbiddenError
