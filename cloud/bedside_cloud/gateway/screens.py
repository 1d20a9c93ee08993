"""The event stream of one page: whom it may hear of is looked up again while it is open."""

import time
from collections.abc import AsyncIterator

from bedside_cloud.bus.errors import BusError
from bedside_cloud.gateway.parts import Parts
from bedside_cloud.gateway.viewers import Viewer

RENEW_SECONDS = 30.0
"""How long a person who left a care team may still hear of its patients on an open page."""


async def stream(parts: Parts, viewer: Viewer) -> AsyncIterator[str]:
    """Events until the browser leaves or the log-in ends, by its time or before."""
    patient_ids = await _renewed(parts, viewer, frozenset())
    renewed_at = time.monotonic()
    with parts.live.screen(patient_ids) as screen:
        async for event in screen.stream():
            if parts.viewers.is_over(viewer):
                yield "event: expired\ndata: {}\n\n"
                return
            if time.monotonic() - renewed_at > RENEW_SECONDS:
                try:
                    screen.patient_ids = await _renewed(parts, viewer, screen.patient_ids)
                    renewed_at = time.monotonic()
                except BusError:
                    # Registry or the audit log is away: the page goes on hearing of the same patients, which is the
                    # safer error.
                    renewed_at = time.monotonic()
            yield event


async def _renewed(parts: Parts, viewer: Viewer, known: frozenset[str]) -> frozenset[str]:
    """Whom the viewer may hear of now; those who are new are in the audit log before the first event of theirs."""
    patient_ids = await parts.care.live(viewer, known)
    await parts.audit.write(viewer)
    return patient_ids
