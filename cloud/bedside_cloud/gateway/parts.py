"""What the HTTP handlers share, and who is asking."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.fleet_api import PlaceAnswer
from bedside_cloud.gateway.audit import Audit
from bedside_cloud.gateway.care import Care
from bedside_cloud.gateway.live import Live
from bedside_cloud.gateway.viewers import Viewer, Viewers

COOKIE = "bedside_session"


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once, by the composition root."""

    bus: Bus
    care: Care
    viewers: Viewers
    live: Live
    audit: Audit
    secure_cookies: bool
    place: PlaceAnswer


def parts_of(request: Request) -> Parts:
    """The application's parts."""
    return cast("Parts", request.app.state.parts)


async def viewer_of(request: Request) -> Viewer:
    """Who asks: by the session cookie, or by a bearer token. NotLoggedInError otherwise."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = bearer if scheme.lower() == "bearer" else request.cookies.get(COOKIE)
    viewer = await parts_of(request).viewers.viewer(token)
    # For `app.audited`, which writes down what the viewer was shown.
    request.state.viewer = viewer
    return viewer


PartsHere = Annotated[Parts, Depends(parts_of)]
ViewerHere = Annotated[Viewer, Depends(viewer_of)]
