"""The console's HTTP application: its parts put together, and how its errors are answered."""

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError, UnansweredError
from bedside_cloud.contracts.fleet_api import API, NO_ADDRESS, PlaceAnswer
from bedside_cloud.gateway import api, fleet, pages
from bedside_cloud.gateway.audit import Audit
from bedside_cloud.gateway.care import Care, ForbiddenError
from bedside_cloud.gateway.live import Live
from bedside_cloud.gateway.logins import Logins
from bedside_cloud.gateway.parts import Parts, parts_of
from bedside_cloud.gateway.security import CallNext, guard
from bedside_cloud.gateway.viewers import NotLoggedInError, Viewers

HERE = Path(__file__).parent


def make_app(bus: Bus, audit: Audit, place: PlaceAnswer, *, secure_cookies: bool) -> tuple[FastAPI, Live, Logins]:
    """The application, what feeds its event streams, and what ends log-ins (start both before serving).

    `place` is what technicians are told of where hubs go. `secure_cookies` is False only where the console is served
    without TLS, on loopback.
    """
    live = Live(bus)
    logins = Logins(bus, live.look_again)
    app = FastAPI(
        title="Bedside",
        version="1",
        description="Patients in the caller's care, their readings and alerts.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = Parts(
        bus=bus,
        care=Care(bus),
        viewers=Viewers(bus, logins),
        live=live,
        audit=audit,
        secure_cookies=secure_cookies,
        place=place,
    )
    app.middleware("http")(audited)
    app.middleware("http")(guard)
    app.include_router(pages.router)
    app.include_router(api.router, prefix=API)
    app.include_router(fleet.router, prefix=API)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_exception_handler(404, not_there)
    app.add_exception_handler(NotLoggedInError, not_logged_in)
    app.add_exception_handler(ForbiddenError, forbidden)
    app.add_exception_handler(UnansweredError, unanswered)
    app.add_exception_handler(RefusedError, refused)
    return app, live, logins


async def audited(request: Request, call_next: CallNext) -> Response:
    """Let no answer out before what it shows is in the audit log. An event stream sees to that itself."""
    response = await call_next(request)
    viewer = getattr(request.state, "viewer", None)
    if viewer is not None:
        try:
            await parts_of(request).audit.write(viewer)
        except UnansweredError as away:
            return await unanswered(request, away)
    return response


def wants_page(request: Request) -> bool:
    """Whether the asker is a person's browser rather than a program."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


async def not_there(request: Request, _error: Exception) -> Response:
    """404 for an address that is none of ours."""
    if wants_page(request):
        return pages.error_page(request, 404, "There is no such page", "Check the address, or start again.")
    return JSONResponse({"detail": NO_ADDRESS}, status_code=404)


async def not_logged_in(request: Request, _error: Exception) -> Response:
    """To the log-in page, or 401."""
    if wants_page(request):
        return RedirectResponse("/login", status_code=303)
    return JSONResponse({"detail": "Log in first."}, status_code=401)


async def forbidden(request: Request, _error: Exception) -> Response:
    """403, the same for what is not there."""
    if wants_page(request):
        return pages.error_page(request, 403, "You cannot see this", "It is not in your care, or it does not exist.")
    return JSONResponse({"detail": "Not in your care, or it does not exist."}, status_code=403)


async def unanswered(request: Request, _error: Exception) -> Response:
    """503: a service is away; nothing was changed that was not said to be."""
    if wants_page(request):
        return pages.error_page(
            request, 503, "The system is not answering", "Reload in a moment. If it lasts, call your support."
        )
    return JSONResponse({"detail": "A service did not answer. Try again."}, status_code=503)


async def refused(_request: Request, error: Exception) -> Response:
    """The service's own code and reason."""
    code = error.code if isinstance(error, RefusedError) else 500
    reason = error.reason if isinstance(error, RefusedError) else "internal error"
    return JSONResponse({"detail": reason}, status_code=code)
