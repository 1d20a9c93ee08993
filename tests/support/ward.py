"""The console's application in this process, on a real bus and a real database, with the other services played.

One patient is in the nurse's care and another is not; what there is to see of either is planted, so that a test finds
it wherever it turns up.
"""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI
from tests.support.database import TestDatabase
from tests.support.log_guard import PLANTED
from tests.support.nats import TestBroker
from tests.support.readings import HUB, OXIMETER, rule

from bedside_cloud.bus.connection import Bus, Endpoint
from bedside_cloud.contracts import alerts, identity, readings, registry
from bedside_cloud.contracts.alerts import AcknowledgeRequest, Alert, AlertList, AlertSource, AlertsRequest
from bedside_cloud.contracts.fleet_api import PlaceAnswer
from bedside_cloud.contracts.identity import EndedLogins, Role, SigningKeys
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import (
    LatestAnswer,
    LatestRequest,
    StoredReading,
    TrendAnswer,
    TrendPoint,
    TrendRequest,
    UnassignedAnswer,
    WaveformPiece,
    WaveformsAnswer,
    WaveformsRequest,
)
from bedside_cloud.contracts.registry import (
    EpisodeState,
    HubList,
    Patient,
    PatientList,
    PatientsRequest,
    Plan,
    PlanSnapshot,
)
from bedside_cloud.database.pool import Database
from bedside_cloud.engines.certificates.authority import derived_key
from bedside_cloud.gateway.app import make_app
from bedside_cloud.gateway.audit import Audit
from bedside_cloud.identity.tokens import Tokens
from bedside_profiles.readings import Metric, Modality
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind

NURSE, STRANGER, TECH = (str(uuid.uuid4()) for _ in range(3))
MINE, OTHERS = (str(uuid.uuid4()) for _ in range(2))
ALERT_OF = {MINE: str(uuid.uuid4()), OTHERS: str(uuid.uuid4())}
PLANTED_VALUE = 71.0
PLANTED_SAMPLE = -8675309
"""Nothing else on any page has this number."""

TOKENS = Tokens(derived_key("the ward's"))


def patient(patient_id: str) -> Patient:
    return Patient(
        patient_id=patient_id,
        name=PLANTED[0],
        birth_date="1931-02-28",
        mrn=PLANTED[3],
        episode_state=EpisodeState.ACTIVE,
        hub_ids=(HUB,),
    )


def alert(patient_id: str, *, acknowledged_by: str | None = None) -> Alert:
    now_ms = round(time.time() * 1000)
    return Alert(
        alert_id=ALERT_OF[patient_id],
        patient_id=patient_id,
        condition="spo2_low",
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=Priority.HIGH,
        version=1,
        active=True,
        raised_at_ms=now_ms,
        onset_ms=now_ms,
        heard_at_ms=now_ms,
        sources=(AlertSource.HUB,),
        metric=Metric.SPO2,
        side=rule().side,
        value=PLANTED_VALUE,
        limit=88,
        acknowledged_by=acknowledged_by,
        patient_says_well_at_ms=now_ms,
    )


@dataclass(slots=True)
class Ward:
    """The application and who asks of it."""

    app: FastAPI
    client: httpx.AsyncClient
    database: TestDatabase
    alerting: Bus

    def headers(self, person_id: str, role: Role, accept: str = "text/html") -> dict[str, str]:
        token = TOKENS.issue(person_id, "nurse", role, datetime.now(UTC))
        return {"authorization": f"Bearer {token}", "accept": accept}

    def log(self) -> list[tuple[str, str, str]]:
        """Person, patient and what of every entry, in order."""
        with psycopg.connect(self.database.superuser_dsn) as connection:
            statement = "SELECT person_id::text, patient_id::text, what FROM audit.reads ORDER BY entry_no"
            return connection.execute(statement).fetchall()


PLACE = PlaceAnswer(names=("bedside.example.org",), hub_port=8883, est_port=8443, ca_sha256="ab" * 32)


@asynccontextmanager
async def running_ward(broker: TestBroker, database: TestDatabase) -> AsyncIterator[Ward]:
    """The ward while the block runs."""
    async with AsyncExitStack() as stack:
        buses = {
            name: await stack.enter_async_context(Bus.open(broker.state.bus_settings(name)))
            for name in ("identity", "registry", "ingest", "alerting", "gateway")
        }
        for name, endpoints in _played().items():
            await buses[name].serve(endpoints)
        opened = await stack.enter_async_context(Database.open(database.settings("gateway"), ()))
        app, live, logins = make_app(buses["gateway"], Audit(opened), PLACE, secure_cookies=False)
        await live.start()
        await logins.start()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://ward"))
        yield Ward(app, client, database, buses["alerting"])


def _played() -> dict[str, tuple[Endpoint[Any, Any], ...]]:
    async def keys(_question: Empty) -> SigningKeys:
        return SigningKeys(jwks=TOKENS.key_set())

    async def ended_logins(_question: Empty) -> EndedLogins:
        return EndedLogins()

    async def patients(question: PatientsRequest) -> PatientList:
        return PatientList(patients=(patient(MINE),) if question.person_id == NURSE else ())

    async def plans(_question: Empty) -> PlanSnapshot:
        def plan(patient_id: str) -> Plan:
            return Plan(patient_id=patient_id, plan_id=patient_id, version=1, active=True, hub_id=HUB, rules=(rule(),))

        return PlanSnapshot(version=1, plans=(plan(OTHERS), plan(MINE)))

    async def hubs(_question: Empty) -> HubList:
        return HubList(hubs=())

    async def latest(question: LatestRequest) -> LatestAnswer:
        now_ms = round(time.time() * 1000)
        return LatestAnswer(
            readings=tuple(
                StoredReading(
                    patient_id=patient_id,
                    device_id=OXIMETER,
                    metric=Metric.SPO2,
                    value=PLANTED_VALUE,
                    modality=Modality.CONTINUOUS,
                    taken_at_ms=now_ms,
                    store_id="0" * 32,
                    seq=1,
                )
                for patient_id in question.patient_ids
            )
        )

    async def trend(question: TrendRequest) -> TrendAnswer:
        return TrendAnswer(points=(TrendPoint(taken_at_ms=question.until_ms - 1000, value=PLANTED_VALUE),))

    async def waveforms(question: WaveformsRequest) -> WaveformsAnswer:
        piece = WaveformPiece(
            device_id="strap-1", rate_hz=130, samples=(PLANTED_SAMPLE,), taken_at_ms=question.until_ms - 1
        )
        return WaveformsAnswer(pieces=(piece,))

    async def unassigned(_question: Empty) -> UnassignedAnswer:
        return UnassignedAnswer(devices=())

    async def listed(question: AlertsRequest) -> AlertList:
        return AlertList(alerts=tuple(alert(patient_id) for patient_id in question.patient_ids))

    async def acknowledge(question: AcknowledgeRequest) -> Alert:
        whose = next(patient_id for patient_id, alert_id in ALERT_OF.items() if alert_id == question.alert_id)
        return alert(whose, acknowledged_by=question.person_name)

    return {
        "identity": (
            Endpoint(identity.KEYS, Empty, keys),
            Endpoint(identity.ENDED_LOGINS, Empty, ended_logins),
        ),
        "registry": (
            Endpoint(registry.PATIENTS, PatientsRequest, patients),
            Endpoint(registry.PLANS, Empty, plans),
            Endpoint(registry.HUBS, Empty, hubs),
        ),
        "ingest": (
            Endpoint(readings.LATEST, LatestRequest, latest),
            Endpoint(readings.TREND, TrendRequest, trend),
            Endpoint(readings.WAVEFORMS, WaveformsRequest, waveforms),
            Endpoint(readings.UNASSIGNED, Empty, unassigned),
        ),
        "alerting": (
            Endpoint(alerts.LIST, AlertsRequest, listed),
            Endpoint(alerts.ACKNOWLEDGE, AcknowledgeRequest, acknowledge),
        ),
    }
