"""What is in quarantine, and what people decide on it. Values are told to nobody who asks here."""

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.readings import (
    QUARANTINE,
    QUARANTINE_CONFIRM,
    QUARANTINE_DISMISS,
    STORED_READINGS,
    ConfirmRequest,
    Decided,
    DismissRequest,
    QuarantineAnswer,
    QuarantinedMeasurement,
    QuarantineRequest,
)
from bedside_cloud.database.outbox import Due, enqueue
from bedside_cloud.database.pool import Connection, Database, fetch_all
from bedside_cloud.database.times import to_time, utc_now_ms
from bedside_cloud.ingest.endpoints import LATEST_FIELDS
from bedside_cloud.ingest.lanes import SQL
from bedside_cloud.ingest.rows import announcement

LOG = logging.getLogger(__name__)

MOST = 1000
"""Measurements in one answer."""

FIELDS = (*("hub_id", "store_id", "first_seq", "device_id", "metrics", "taken_at_ms", "device_time", "user", "reason"),)
CONFIRMED, DISMISSED = "confirmed", "dismissed"


class Quarantine:
    """`announce(body)` is awaited after each commit that gave readings to a patient, with a `StoredReadings`."""

    def __init__(self, database: Database, announce: Callable[[bytes], Awaitable[None]]) -> None:
        self._database = database
        self._announce = announce

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of the quarantine."""
        return (
            Endpoint(QUARANTINE, QuarantineRequest, self.listed),
            Endpoint(QUARANTINE_CONFIRM, ConfirmRequest, self.confirm),
            Endpoint(QUARANTINE_DISMISS, DismissRequest, self.dismiss),
        )

    async def listed(self, request: QuarantineRequest) -> QuarantineAnswer:
        most = max(1, min(request.most, MOST))
        parameters = {"device_id": request.device_id, "most": most + 1}
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["quarantine"], parameters)
        found = [QuarantinedMeasurement.model_validate(dict(zip(FIELDS, row, strict=True))) for row in rows]
        return QuarantineAnswer(measurements=tuple(found[:most]), more=len(found) > most)

    async def confirm(self, request: ConfirmRequest) -> Decided:
        """The readings, the decision and the word to alerting are one transaction."""
        now_ms, taken_at_ms = utc_now_ms(), request.taken_at_ms
        if taken_at_ms is not None and not 0 < taken_at_ms <= now_ms:
            raise RefusedError(400, "Nothing was measured in the future.")
        patient_id = _checked_uuid(request.patient_id, "patient")
        async with self._database.transaction() as connection:
            named = await _named(connection, request)
            taken_at = None if taken_at_ms is None else to_time(taken_at_ms)
            wanted = {**named, "patient_id": patient_id, "taken_at": taken_at}
            rows = await fetch_all(connection, SQL["confirm_measurement"], wanted)
            if not rows:
                raise RefusedError(404, NOT_THERE)
            await connection.execute(SQL["insert_decision"], {**named, "decision": CONFIRMED, "patient_id": patient_id})
            readings = [dict(zip(LATEST_FIELDS, row, strict=True)) for row in rows]
            body = announcement(request.hub_id, now_ms, readings)
            await enqueue(connection, Due(STORED_READINGS, request.hub_id, body))
        LOG.info("quarantine_confirmed hub=%s seq=%d readings=%d", request.hub_id, request.first_seq, len(rows))
        await self._announce(body)
        return Decided(readings=len(rows))

    async def dismiss(self, request: DismissRequest) -> Decided:
        async with self._database.transaction() as connection:
            named = await _named(connection, request)
            rows = await fetch_all(connection, SQL["dismiss_measurement"], named)
            if not rows:
                raise RefusedError(404, NOT_THERE)
            await connection.execute(SQL["insert_decision"], {**named, "decision": DISMISSED, "patient_id": None})
        LOG.info("quarantine_dismissed hub=%s seq=%d readings=%d", request.hub_id, request.first_seq, len(rows))
        return Decided(readings=len(rows))


NOT_THERE = "There is no such measurement in quarantine; somebody else may have decided on it."


async def _named(connection: Connection, request: ConfirmRequest | DismissRequest) -> dict[str, object]:
    """The measurement and who decides on it, as the statements take it. Nothing is attached until the decision is made:
    the two would lock readings in different orders."""
    person_id = _checked_uuid(request.person_id, "person")
    await connection.execute(SQL["lock_attachment"])
    begin = {"hub_id": request.hub_id, "begin": request.store_id}
    stores = [row[0] for row in await fetch_all(connection, SQL["stores_that_begin"], begin)]
    if len(stores) > 1 and request.store_id not in stores:
        raise RefusedError(409, "Several stores of the hub begin so. Write more of it.")
    if not stores:
        raise RefusedError(404, NOT_THERE)
    store_id = request.store_id if request.store_id in stores else stores[0]
    return {"hub_id": request.hub_id, "store_id": store_id, "first_seq": request.first_seq, "person_id": person_id}


def _checked_uuid(text: str, what: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as wrong:
        raise RefusedError(404, f"There is no such {what}.") from wrong
