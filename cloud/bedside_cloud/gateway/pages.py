"""The console's pages: server-rendered, readable without script, kept live by a little of it."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.templating import Jinja2Templates
from jinja2 import StrictUndefined
from markupsafe import Markup

from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity import LOGIN, LoginAnswer, LoginRequest
from bedside_cloud.database.times import utc_now_ms
from bedside_cloud.gateway.api import end_login, technical
from bedside_cloud.gateway.care import Care, InCare
from bedside_cloud.gateway.parts import COOKIE, PartsHere, ViewerHere, viewer_of
from bedside_cloud.gateway.plots import SPANS_MS, USUAL_SPAN, alert_plot, trend_plots
from bedside_cloud.gateway.screens import stream
from bedside_cloud.gateway.viewers import NotLoggedInError, Viewer
from bedside_cloud.gateway.waveform_strip import strip
from bedside_cloud.gateway.wording import ago, alarm_name, birth, clock, duration, moment, patience, quantity
from bedside_cloud.gateway.worklist import worklist
from bedside_profiles.waveforms import Signal

NEWEST_PIECES = 40
"""Of a waveform, for one strip: a piece is about half a second."""

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
# A name that nobody set is an error: rendered as nothing, it could make a page say that all is well.
templates.env.undefined = StrictUndefined
templates.env.filters.update(ago=ago, birth=birth, clock=clock, duration=duration, moment=moment)
templates.env.globals.update(alarm_name=alarm_name, patience=patience, quantity=quantity)

SpanQuery = Annotated[str, Query(alias="span")]


def page(request: Request, template: str, context: dict[str, object], status: int = 200) -> HTMLResponse:
    """A rendered template."""
    return templates.TemplateResponse(request, template, context, status_code=status)


def error_page(request: Request, status: int, title: str, advice: str) -> HTMLResponse:
    """What happened and what to do next."""
    return page(request, "error.html", {"title": title, "advice": advice, "viewer": None}, status)


@router.get("/login")
async def login_page(request: Request) -> Response:
    """The log-in form."""
    return page(request, "login.html", {"viewer": None, "problem": "", "name": ""})


@router.post("/login")
async def log_in(
    request: Request, parts: PartsHere, name: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
) -> Response:
    """Start a session, or say what is wrong."""
    try:
        answer = await parts.bus.request(LOGIN, LoginRequest(name=name, password=password), LoginAnswer)
    except RefusedError as refusal:
        problem = (
            "Too many tries. Wait a minute, then try again."
            if refusal.code == 429
            else "That name and password do not fit together."
        )
        return page(request, "login.html", {"viewer": None, "problem": problem, "name": name}, refusal.code)
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE,
        answer.access_token,
        max_age=answer.expires_in_seconds,
        httponly=True,
        samesite="strict",
        secure=parts.secure_cookies,
    )
    return response


@router.post("/logout")
async def log_out(request: Request, parts: PartsHere) -> Response:
    """End the log-in, here and for whoever copied its cookie. While identity is away nothing ends: 503."""
    with contextlib.suppress(NotLoggedInError):
        await end_login(parts, await viewer_of(request))
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/")
async def worklist_page(request: Request, parts: PartsHere, viewer: ViewerHere) -> Response:
    """Patients in order of risk; technicians see hubs and devices instead."""
    if not viewer.clinical:
        return await fleet_page(request, parts, viewer)
    return page(request, "worklist.html", await worklist_content(parts.care, viewer))


@router.get("/fragments/worklist")
async def worklist_fragment(request: Request, parts: PartsHere, viewer: ViewerHere) -> Response:
    """The worklist alone, for a page that is already open."""
    return page(request, "cards.html", await worklist_content(parts.care, viewer))


@router.get("/patients/{patient_id}")
async def patient_page(
    request: Request, parts: PartsHere, viewer: ViewerHere, patient_id: str, span: SpanQuery = USUAL_SPAN
) -> Response:
    """One patient: every trend on one time axis, the limits, and the alerts of the last day."""
    return page(request, "patient.html", await patient_content(parts.care, viewer, patient_id, span))


@router.get("/fragments/patients/{patient_id}")
async def patient_fragment(
    request: Request, parts: PartsHere, viewer: ViewerHere, patient_id: str, span: SpanQuery = USUAL_SPAN
) -> Response:
    """What changes on a patient's page, for a page that is already open."""
    return page(request, "patient_parts.html", await patient_content(parts.care, viewer, patient_id, span))


@router.post("/alerts/{alert_id}/acknowledge")
async def acknowledge(request: Request, parts: PartsHere, viewer: ViewerHere, alert_id: str) -> Response:
    """Acknowledge; a page with script stays where it is, one without comes back to the worklist."""
    await parts.care.acknowledge(viewer, alert_id, utc_now_ms())
    if request.headers.get("x-requested-with") == "bedside":
        return Response(status_code=204)
    return RedirectResponse("/", status_code=303)


@router.get("/events")
async def events(parts: PartsHere, viewer: ViewerHere) -> Response:
    """Server-sent events for one open page."""
    return StreamingResponse(stream(parts, viewer), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def fleet_page(request: Request, parts: PartsHere, viewer: Viewer) -> Response:
    """Hubs and devices without a patient; no name and no value of anybody."""
    technical(viewer)
    hubs, unassigned = await asyncio.gather(parts.care.hubs(), parts.care.unassigned())
    # What needs a technician first: hubs that are away, longest first.
    ordered = sorted(hubs.hubs, key=lambda hub: (hub.online, hub.last_seen_ms or 0, hub.hub_id))
    context = {"viewer": viewer, "hubs": ordered, "devices": unassigned.devices, "now_ms": utc_now_ms()}
    return page(request, "fleet.html", context)


async def worklist_content(care: Care, viewer: Viewer) -> dict[str, object]:
    """What `cards.html` shows: the cards, and for each card's worst alert its trend."""
    now_ms = utc_now_ms()
    return await _cards(care, viewer, await care.overview(viewer, now_ms), now_ms)


async def patient_content(care: Care, viewer: Viewer, patient_id: str, span: str) -> dict[str, object]:
    """What `patient.html` shows; ForbiddenError for a patient outside the viewer's care."""
    now_ms = utc_now_ms()
    overview, plan = await asyncio.gather(care.overview(viewer, now_ms, patient_id), care.plan(viewer, patient_id))
    span = span if span in SPANS_MS else USUAL_SPAN
    from_ms = now_ms - SPANS_MS[span]
    cards, plots, waves = await asyncio.gather(
        _cards(care, viewer, overview, now_ms),
        trend_plots(care, viewer, patient_id, plan, overview.alerts, from_ms, now_ms),
        care.waveform(viewer, patient_id, Signal.ECG, from_ms, now_ms, NEWEST_PIECES),
    )
    found = strip(waves)
    return {
        **cards,
        "patient": overview.patients[0],
        "plan": plan,
        "plots": plots,
        "strip": found,
        # `strip` makes the picture of numbers alone.
        "strip_picture": None if found is None else Markup(found.picture),  # noqa: S704
        "history": overview.alerts,
        "span": span,
        "spans": tuple(SPANS_MS),
        "alone": True,
    }


async def _cards(care: Care, viewer: Viewer, overview: InCare, now_ms: int) -> dict[str, object]:
    cards = worklist(overview.patients, overview.readings, overview.alerts, now_ms)
    worst = [card.worst.alert for card in cards if card.worst is not None]
    plots = await asyncio.gather(*(alert_plot(care, viewer, alert, now_ms) for alert in worst))
    return {
        "viewer": viewer,
        "cards": cards,
        "now_ms": now_ms,
        "alone": False,
        "waiting": sum(card.waiting for card in cards),
        "active": sum(card.active for card in cards),
        "tests": sum(card.tests for card in cards),
        "alert_plots": {alert.alert_id: plot for alert, plot in zip(worst, plots, strict=True) if plot is not None},
    }
