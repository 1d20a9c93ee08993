"""What happens now, to every open console: one bounded queue a browser.

A screen that cannot keep up is told to fetch everything again rather than fed late, and a heartbeat lets it say in
red that it is not live.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts import alerts, readings, registry
from bedside_cloud.contracts.alerts import Alert
from bedside_cloud.contracts.readings import StoredReadings
from bedside_cloud.database.times import utc_now_ms
from bedside_cloud.gateway.wording import sentence
from bedside_cloud.gateway.worklist import figure_text, is_vital

LOG = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
"""Between heartbeats; the page turns red after three missed ones."""

RETRY_MS = 1000
"""After how long a browser whose stream broke tries again."""

QUEUE_LENGTH = 256


class Screen:
    """One open event stream. `patient_ids` is who it may hear of; it is renewed while the stream is open."""

    def __init__(self, patient_ids: frozenset[str]) -> None:
        self.patient_ids = patient_ids
        self._events: asyncio.Queue[tuple[str, str]] = asyncio.Queue(QUEUE_LENGTH)

    def offer(self, kind: str, data: dict[str, object]) -> None:
        """Queue an event; when the screen is behind, drop what waits and have it fetch everything."""
        if self._events.full():
            while not self._events.empty():
                self._events.get_nowait()
            self._events.put_nowait(("resync", "{}"))
        self._events.put_nowait((kind, json.dumps(data)))

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events (WHATWG HTML, 9.2), with a heartbeat whenever nothing else happened."""
        yield f"retry: {RETRY_MS}\n" + _event("hello", json.dumps({"now_ms": utc_now_ms()}))
        while True:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    kind, data = await self._events.get()
            except TimeoutError:
                kind, data = "beat", json.dumps({"now_ms": utc_now_ms()})
            yield _event(kind, data)


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"


class Live:
    """Passes fan-out messages on to the screens that may see them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._screens: set[Screen] = set()

    async def start(self) -> None:
        """Subscribe; the subscriptions outlive a broker's restart."""
        await self._bus.subscribe(alerts.CHANGED, self._on_alert)
        await self._bus.subscribe(readings.LIVE, self._on_readings)
        await self._bus.subscribe(registry.CHANGED, self._on_registry)

    @contextmanager
    def screen(self, patient_ids: frozenset[str]) -> Iterator[Screen]:
        """A screen that hears of `patient_ids` while the block lasts."""
        screen = Screen(patient_ids)
        self._screens.add(screen)
        try:
            yield screen
        finally:
            self._screens.discard(screen)

    def tell_all(self, kind: str) -> None:
        """An event without content to every screen."""
        for screen in self._screens:
            screen.offer(kind, {})

    def look_again(self) -> None:
        """Wake every screen: some log-in ended."""
        for screen in self._screens:
            screen.offer("beat", {"now_ms": utc_now_ms()})

    async def _on_alert(self, _subject: str, body: bytes) -> None:
        alert = Alert.model_validate_json(body)
        data: dict[str, object] = {
            "alert_id": alert.alert_id,
            "patient_id": alert.patient_id,
            "version": alert.version,
            "priority": alert.priority.value,
            "active": alert.active,
            "acknowledged_by": alert.acknowledged_by,
            "raised_at_ms": alert.raised_at_ms,
            "heard_at_ms": alert.heard_at_ms,
            "test": alert.test,
            "sentence": sentence(alert, utc_now_ms()),
        }
        for screen in self._screens:
            if alert.patient_id in screen.patient_ids:
                screen.offer("alert", data)

    async def _on_readings(self, _subject: str, body: bytes) -> None:
        for reading in StoredReadings.model_validate_json(body).readings:
            if not is_vital(reading):
                continue
            data: dict[str, object] = {
                "patient_id": reading.patient_id,
                "metric": reading.metric.value,
                "text": figure_text(reading),
                "taken_at_ms": reading.taken_at_ms,
            }
            for screen in self._screens:
                if reading.patient_id in screen.patient_ids:
                    screen.offer("reading", data)

    async def _on_registry(self, _subject: str, _body: bytes) -> None:
        self.tell_all("resync")
