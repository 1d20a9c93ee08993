"""An alert's life as a time line: things are said at moments, in seconds after noon, against a real database."""

from typing import Any

import psycopg
from psycopg.rows import dict_row
from tests.support.clock import NOON_MS
from tests.support.readings import HUB, OXIMETER, PATIENT, alarm, rule
from tests.support.readings import PLAN as PLAN_ID

from bedside_cloud.alerting import store, writer
from bedside_cloud.alerting.lifecycle import AlertRecord
from bedside_cloud.contracts.alerts import AcknowledgeRequest
from bedside_cloud.contracts.readings import StoredAlarm, StoredReading
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Database
from bedside_profiles.readings import Metric, Modality
from bedside_profiles.wire.alarm import AlarmState

STORE = "0123456789abcdef0123456789abcdef"
NURSE = "77777777-7777-4777-8777-777777777777"
PLAN = Plan(patient_id=PATIENT, plan_id=PLAN_ID, version=1, active=True, hub_id=HUB, rules=(rule(),))


class Timeline:
    """Says things at moments (seconds after noon) and knows the one alert that came of them."""

    def __init__(self, database: Database, dsn: str) -> None:
        self.database = database
        self._dsn = dsn
        self._seq = 0

    async def hub(
        self, at: float, state: AlarmState = AlarmState.RAISED, seq: int | None = None, **changes: Any
    ) -> list[AlertRecord]:
        self._seq += 1
        at_ms = NOON_MS + round(at * 1000)
        said = alarm(seq=seq or self._seq, state=state, at_ms=at_ms, rule_id="spo2-low", **changes)
        message = StoredAlarm(hub_id=HUB, store_id=STORE, patient_id=PATIENT, heard_at_ms=at_ms + 40, alarm=said)
        async with self.database.transaction() as connection:
            return await writer.take_hub_alarm(connection, message, PLAN)

    async def readings(
        self, *values: tuple[float, float | None], plan: Plan = PLAN, **changes: Any
    ) -> list[AlertRecord]:
        plain = {"patient_id": PATIENT, "device_id": OXIMETER, "metric": Metric.SPO2, "modality": Modality.CONTINUOUS}
        stored = [
            StoredReading(
                **{
                    **plain,
                    "value": value,
                    "taken_at_ms": NOON_MS + round(at * 1000),
                    "store_id": STORE,
                    "seq": place,
                    **changes,
                }
            )
            for place, (at, value) in enumerate(values, start=1)
        ]
        async with self.database.transaction() as connection:
            return await writer.take_readings(connection, plan, stored, NOON_MS)

    async def passes(self, until: float) -> list[AlertRecord]:
        async with self.database.transaction() as connection:
            return await writer.take_time(connection, PLAN, NOON_MS + round(until * 1000))

    async def acknowledge(self, alert_id: str, at: float = 60, name: str = "nurse") -> AlertRecord:
        request = AcknowledgeRequest(alert_id=alert_id, person_id=NURSE, person_name=name)
        async with self.database.transaction() as connection:
            record, _ = await writer.acknowledge(connection, request, NOON_MS + round(at * 1000))
        return record

    async def listed(self) -> list[AlertRecord]:
        async with self.database.transaction() as connection:
            return await store.alerts_of(connection, [PATIENT], 0)

    def rows(self, table: str) -> list[dict[str, Any]]:
        with psycopg.connect(self._dsn, row_factory=dict_row) as connection:
            return connection.execute(f"SELECT * FROM alerting.{table}").fetchall()  # noqa: S608
