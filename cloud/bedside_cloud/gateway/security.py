"""What every HTTP answer carries, and which requests are refused before anything else."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it browsers send `Origin: null` with the console's own forms, which the guard must refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

MOST_BYTES = 64 * 1024
"""Nothing that the console takes is nearly as large."""

CallNext = Callable[[Request], Awaitable[Response]]


async def guard(request: Request, call_next: CallNext) -> Response:
    """Refuse what must not go further, and add the headers to every answer."""
    refusal = refused(request)
    response = await call_next(request) if refusal is None else refusal
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.url.path.startswith("/static/"):
        response.headers["Cache-Control"] = "no-store"
    return response


def refused(request: Request) -> Response | None:
    """An answer to a changing request that another site sent, or that is too large; None for all others.

    The session cookie is SameSite=Strict; the check of Origin is the second lock on the same door.
    """
    if request.method in SAFE_METHODS:
        return None
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        return PlainTextResponse("This request came from another site.", status_code=403)
    length = request.headers.get("content-length", "0" if "transfer-encoding" not in request.headers else "")
    if not length.isdecimal():
        return PlainTextResponse("Say how long the request is.", status_code=411)
    if int(length) > MOST_BYTES:
        return PlainTextResponse("The request is too large.", status_code=413)
    return None
