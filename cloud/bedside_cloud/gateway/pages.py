"""The console's pages: server-rendered, readable without script, kept live by a little of it."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.identity import LOGIN, LoginAnswer, LoginRequest
from bedside_cloud.database.times import utc_now_ms
from bedside_cloud.gateway.api import technical
from bedside_cloud.gateway.care import Care, ForbiddenError
from bedside_cloud.gateway.parts import COOKIE, PartsHere, ViewerHere
from bedside_cloud.gateway.screens import stream
from bedside_cloud.gateway.trend_plot import Limit, trend_plot
from bedside_cloud.gateway.viewers import Viewer
from bedside_cloud.gateway.wording import SHORT, clock, condition_name, duration
from bedside_cloud.gateway.worklist import AlertCard, PatientCard, worklist
from bedside_profiles.readings import Metric

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
templates.env.filters.update(clock=clock, condition_name=condition_name, duration=duration)

ALERT_LEAD_MS = 10 * 60 * 1000
"""How much of the trend before an alert's onset is shown with it."""

PAGE_SPAN_MS = 4 * 3600 * 1000


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
    request: Request, parts: PartsHere, name: Annotated[str, Form()], password: Annotated[str, Form()]
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
async def log_out() -> Response:
    """End the session in this browser."""
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/")
async def worklist_page(request: Request, parts: PartsHere, viewer: ViewerHere) -> Response:
    """Patients in order of risk; technicians see hubs and devices instead."""
    if not viewer.clinical:
        return await fleet_page(request, parts, viewer)
    return page(request, "worklist.html", {"viewer": viewer, **await worklist_content(parts.care, viewer)})


@router.get("/fragments/worklist")
async def worklist_fragment(request: Request, parts: PartsHere, viewer: ViewerHere) -> Response:
    """The worklist alone, for a page that is already open."""
    return page(request, "cards.html", {"viewer": viewer, **await worklist_content(parts.care, viewer)})


@router.get("/fragments/patients/{patient_id}")
async def card_fragment(request: Request, parts: PartsHere, viewer: ViewerHere, patient_id: str) -> Response:
    """One patient's card."""
    content = await worklist_content(parts.care, viewer, only=patient_id)
    if not content["cards"]:
        raise ForbiddenError
    return page(request, "cards.html", {"viewer": viewer, **content})


@router.get("/patients/{patient_id}")
async def patient_page(request: Request, parts: PartsHere, viewer: ViewerHere, patient_id: str) -> Response:
    """One patient: every trend on one time axis, and the alerts of the last day."""
    now_ms = utc_now_ms()
    patient = await parts.care.patient(viewer, patient_id)
    content = await worklist_content(parts.care, viewer, only=patient_id)
    plan = await parts.care.plan(viewer, patient_id)
    overview = await parts.care.overview(viewer, now_ms, patient_id)
    measured = {reading.metric for reading in overview.readings}
    plots = []
    for metric in SHORT:
        if metric not in measured:
            continue
        limits = [Limit(rule.limit, rule.side) for rule in plan.rules if rule.metric is metric] if plan else []
        plots.append(await plot(parts.care, viewer, patient_id, metric, limits, now_ms - PAGE_SPAN_MS, now_ms))
    shown = {"patient": patient, "plots": plots, "plan": plan, "history": overview.alerts}
    return page(request, "patient.html", {"viewer": viewer, **shown, **content})


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
    hubs, unassigned = await parts.care.hubs(), await parts.care.unassigned()
    context = {"viewer": viewer, "hubs": hubs.hubs, "devices": unassigned.devices, "now_ms": utc_now_ms()}
    return page(request, "fleet.html", context)


async def worklist_content(care: Care, viewer: Viewer, only: str | None = None) -> dict[str, object]:
    """What `cards.html` shows: the cards, and for each card's worst alert its trend."""
    now_ms = utc_now_ms()
    overview = await care.overview(viewer, now_ms, only)
    cards = worklist(overview.patients, overview.readings, overview.alerts, now_ms)
    plots = {
        card.patient.patient_id: await alert_plot(care, viewer, card, card.worst, now_ms)
        for card in cards
        if card.worst is not None
    }
    return {"cards": cards, "alert_plots": plots, "now_ms": now_ms}


async def alert_plot(care: Care, viewer: Viewer, card: PatientCard, worst: AlertCard, now_ms: int) -> Markup:
    """The trend that led to an alert, with its limit; nothing for an alert without a number."""
    alert = worst.alert
    if alert.metric is None or alert.limit is None or alert.side is None:
        return Markup()
    until_ms = now_ms if alert.active else min(now_ms, (alert.cleared_at_ms or now_ms) + ALERT_LEAD_MS)
    limits = [Limit(alert.limit, alert.side)]
    from_ms = alert.onset_ms - ALERT_LEAD_MS
    return await plot(care, viewer, card.patient.patient_id, alert.metric, limits, from_ms, until_ms)


async def plot(
    care: Care, viewer: Viewer, patient_id: str, metric: Metric, limits: list[Limit], from_ms: int, until_ms: int
) -> Markup:
    """One metric's trend as markup; `trend_plot` escapes what it puts in."""
    points = await care.trend(viewer, patient_id, metric, from_ms, until_ms)
    return Markup(trend_plot(metric, points, limits, from_ms, until_ms))  # noqa: S704
