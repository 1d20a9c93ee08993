"""What alerting answers: deliveries from ingest's outbox, the list, the acknowledgement."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bedside_cloud.alerting import store, writer
from bedside_cloud.alerting.announcing import Announcer
from bedside_cloud.alerting.patient_word import take_word
from bedside_cloud.alerting.plans import Plans
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.alerts import (
    ACKNOWLEDGE,
    LIST,
    AcknowledgeRequest,
    Alert,
    AlertList,
    AlertsRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import (
    STORED_ALARM,
    STORED_READINGS,
    STORED_WORD,
    StoredAlarm,
    StoredEvent,
    StoredReading,
    StoredReadings,
)
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Database

LOG = logging.getLogger(__name__)


class Endpoints:
    """Every change is committed before it is answered; screens and hubs hear of it after the commit."""

    def __init__(self, database: Database, announcer: Announcer, plans: Plans, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._announcer = announcer
        self._plans = plans
        self._now_ms = now_ms

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of the service."""
        return (
            Endpoint(STORED_READINGS, StoredReadings, self.stored_readings),
            Endpoint(STORED_ALARM, StoredAlarm, self.stored_alarm),
            Endpoint(STORED_WORD, StoredEvent, self.stored_word),
            Endpoint(LIST, AlertsRequest, self.list),
            Endpoint(ACKNOWLEDGE, AcknowledgeRequest, self.acknowledge),
        )

    async def stored_readings(self, said: StoredReadings) -> Empty:
        of_patient: dict[str, list[StoredReading]] = defaultdict(list)
        for reading in said.readings:
            of_patient[reading.patient_id].append(reading)
        plans = {patient_id: await self._plan_of(patient_id) for patient_id in of_patient}
        changed: writer.Changed = []
        async with self._database.transaction() as connection:
            # In one order everywhere, so that two deliveries never wait for each other's patient.
            for patient_id in sorted(of_patient):
                plan = plans[patient_id]
                if plan is not None and plan.active:
                    readings = of_patient[patient_id]
                    changed += await writer.take_readings(connection, plan, readings, said.heard_at_ms)
        await self._announcer.announce(changed)
        return Empty()

    async def stored_alarm(self, said: StoredAlarm) -> Empty:
        if self._plans.of_hub(said.hub_id) is None:
            await self._plans.refresh()
        plan = self._plans.of_hub(said.hub_id, said.alarm.plan_id)
        if plan is None:
            # Refusing keeps the alarm in ingest's outbox: it comes again until registry says whom the hub serves.
            LOG.warning("alarm_of_a_hub_without_plan hub=%s condition=%s", said.hub_id, said.alarm.condition)
            raise RefusedError(503, "no plan is known for this hub yet")
        async with self._database.transaction() as connection:
            changed = await writer.take_hub_alarm(connection, said, plan)
        await self._announcer.announce(changed)
        return Empty()

    async def stored_word(self, said: StoredEvent) -> Empty:
        async with self._database.transaction() as connection:
            changed = await take_word(connection, said.hub_id, said.event.at_ms, self._now_ms())
        await self._announcer.announce(changed)
        return Empty()

    async def _plan_of(self, patient_id: str) -> Plan | None:
        plan = self._plans.of_patient(patient_id)
        if plan is None:
            await self._plans.refresh()
            plan = self._plans.of_patient(patient_id)
        if not self._plans.heard:
            raise RefusedError(503, "no plans were heard yet")
        return plan

    async def list(self, request: AlertsRequest) -> AlertList:
        async with self._database.transaction() as connection:
            records = await store.alerts_of(connection, request.patient_ids, request.since_ms)
        return AlertList(alerts=tuple(store.to_contract(record) for record in records))

    async def acknowledge(self, request: AcknowledgeRequest) -> Alert:
        if not (_is_uuid(request.alert_id) and _is_uuid(request.person_id)):
            raise RefusedError(404, "there is no such alert or person")
        async with self._database.transaction() as connection:
            record, changed = await writer.acknowledge(connection, request, self._now_ms())
        await self._announcer.announce(changed)
        return store.to_contract(record)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
