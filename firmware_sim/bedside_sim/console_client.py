"""The console as a clinician's browser sees it, for whoever must know when something is visible there."""

import asyncio
from typing import Any

import httpx

from bedside_sim.errors import DemoError

POLL_SECONDS = 0.25


class ConsoleClient:
    """A logged-in session. Use it as a context manager."""

    def __init__(self, gateway_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=gateway_url, follow_redirects=True, timeout=10)

    async def __aenter__(self) -> "ConsoleClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def log_in(self, name: str, password: str) -> None:
        """Start a session by the log-in form; DemoError if it is refused."""
        answer = await self._client.post("/login", data={"name": name, "password": password})
        if answer.status_code != 200 or "bedside_session" not in self._client.cookies:
            raise DemoError(f"The console refused the log-in of {name}.", f"It answered {answer.status_code}.")

    async def wait_for_reading(self) -> None:
        """Until the newest value of some patient can be read."""
        while not (await self._json("/api/v1/readings/latest"))["readings"]:
            await asyncio.sleep(POLL_SECONDS)

    async def wait_for_alert(self) -> dict[str, Any]:
        """Until an active, unacknowledged alert is listed and stands on the worklist page; the alert."""
        while True:
            for alert in (await self._json("/api/v1/alerts"))["alerts"]:
                if alert["active"] and alert["acknowledged_at_ms"] is None and await self._shows(alert["alert_id"]):
                    return dict(alert)
            await asyncio.sleep(POLL_SECONDS)

    async def _shows(self, alert_id: str) -> bool:
        page = await self._client.get("/", headers={"accept": "text/html"})
        return page.status_code == 200 and f'data-alert="{alert_id}"' in page.text

    async def _json(self, path: str) -> Any:
        try:
            answer = await self._client.get(path)
        except httpx.TransportError:
            # The gateway may be starting again; whoever waits has a time limit of their own.
            return {"readings": [], "alerts": []}
        if answer.status_code == 503:
            return {"readings": [], "alerts": []}
        if answer.status_code != 200:
            raise DemoError(f"The console answered {answer.status_code} to {path}.")
        return answer.json()
