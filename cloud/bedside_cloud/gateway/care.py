"""What one viewer may see, fetched from the services that own it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts import alerts, readings, registry
from bedside_cloud.contracts.alerts import AcknowledgeRequest, Alert, AlertList, AlertsRequest
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
from bedside_cloud.contracts.registry import HubList, Patient, PatientList, PatientsRequest, Plan, PlanSnapshot
from bedside_cloud.gateway.viewers import Viewer
from bedside_profiles.readings import Metric
from bedside_profiles.waveforms import Signal

RECENT_MS = 24 * 3600 * 1000
"""Acknowledged and cleared alerts of this long ago are still listed on a patient's page."""


class ForbiddenError(Exception):
    """The viewer may not see or do this. It is also raised for what does not exist, so that ids tell nothing."""


@dataclass(frozen=True, slots=True)
class InCare:
    """Patients in the viewer's care with their newest values and alerts."""

    patients: tuple[Patient, ...]
    readings: tuple[StoredReading, ...]
    alerts: tuple[Alert, ...]


class Care:
    """Every question names the viewer; nothing is answered about a patient outside their care.

    What is answered is noted with the viewer, for the audit log.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def patients(self, viewer: Viewer) -> tuple[Patient, ...]:
        """Patients in the viewer's care; none for whoever is no clinician."""
        patients = await self._in_care(viewer)
        viewer.shown("name", *(patient.patient_id for patient in patients))
        return patients

    async def live(self, viewer: Viewer, known: frozenset[str] = frozenset()) -> frozenset[str]:
        """Whom the viewer may hear of from now on; `known` are those whom they heard of before."""
        patient_ids = frozenset(patient.patient_id for patient in await self._in_care(viewer))
        viewer.shown("live", *(patient_ids - known))
        return patient_ids

    async def overview(self, viewer: Viewer, now_ms: int, only: str | None = None) -> InCare:
        """Everything on the worklist, or on the card of `only`."""
        overview = await self._overview(viewer, now_ms, only)
        viewer.shown("overview", *(patient.patient_id for patient in overview.patients))
        return overview

    async def _in_care(self, viewer: Viewer) -> tuple[Patient, ...]:
        if not viewer.clinical:
            return ()
        request = PatientsRequest(person_id=viewer.person_id)
        return (await self._bus.request(registry.PATIENTS, request, PatientList)).patients

    async def _check(self, viewer: Viewer, patient_id: str) -> None:
        """ForbiddenError for a patient outside the viewer's care."""
        if patient_id not in {patient.patient_id for patient in await self._in_care(viewer)}:
            raise ForbiddenError

    async def _overview(self, viewer: Viewer, now_ms: int, only: str | None = None) -> InCare:
        patients = await self._in_care(viewer)
        if only is not None:
            patients = tuple(patient for patient in patients if patient.patient_id == only)
        ids = tuple(patient.patient_id for patient in patients)
        if not ids:
            return InCare((), (), ())
        latest, listed = await asyncio.gather(
            self._bus.request(readings.LATEST, LatestRequest(patient_ids=ids), LatestAnswer),
            self._bus.request(alerts.LIST, AlertsRequest(patient_ids=ids, since_ms=now_ms - RECENT_MS), AlertList),
        )
        return InCare(patients, latest.readings, listed.alerts)

    async def trend(
        self, viewer: Viewer, patient_id: str, metric: Metric, from_ms: int, until_ms: int
    ) -> tuple[TrendPoint, ...]:
        """The newest readings of one metric of a patient in the viewer's care."""
        await self._check(viewer, patient_id)
        viewer.shown("trend", patient_id)
        request = TrendRequest(patient_id=patient_id, metric=metric, from_ms=from_ms, until_ms=until_ms)
        return (await self._bus.request(readings.TREND, request, TrendAnswer)).points

    async def waveform(
        self, viewer: Viewer, patient_id: str, signal: Signal, from_ms: int, until_ms: int, most: int = 600
    ) -> tuple[WaveformPiece, ...]:
        """The newest pieces of one signal of a patient in the viewer's care."""
        await self._check(viewer, patient_id)
        viewer.shown("waveform", patient_id)
        request = WaveformsRequest(patient_id=patient_id, signal=signal, from_ms=from_ms, until_ms=until_ms, most=most)
        return (await self._bus.request(readings.WAVEFORMS, request, WaveformsAnswer)).pieces

    async def shapes(
        self, viewer: Viewer, patient_id: str, metrics: Sequence[Metric], from_ms: int, until_ms: int, columns: int
    ) -> dict[Metric, tuple[TrendPoint, ...]]:
        """The lowest and highest readings of each of `columns` equal spans, for a picture of a patient in care."""
        await self._check(viewer, patient_id)
        viewer.shown("trend", patient_id)

        async def shape(metric: Metric) -> tuple[TrendPoint, ...]:
            request = TrendRequest(
                patient_id=patient_id, metric=metric, from_ms=from_ms, until_ms=until_ms, columns=columns
            )
            return (await self._bus.request(readings.TREND, request, TrendAnswer)).points

        return dict(zip(metrics, await asyncio.gather(*map(shape, metrics)), strict=True))

    async def plan(self, viewer: Viewer, patient_id: str) -> Plan | None:
        """The limits in force for a patient in the viewer's care."""
        await self._check(viewer, patient_id)
        viewer.shown("limits", patient_id)
        snapshot = await self._bus.request(registry.PLANS, Empty(), PlanSnapshot)
        return next((plan for plan in snapshot.plans if plan.patient_id == patient_id), None)

    async def acknowledge(self, viewer: Viewer, alert_id: str, now_ms: int) -> Alert:
        """Put the viewer's name on an alert of a patient in their care."""
        overview = await self._overview(viewer, now_ms)
        taken = next((alert for alert in overview.alerts if alert.alert_id == alert_id), None)
        if taken is None:
            raise ForbiddenError
        viewer.shown("acknowledged", taken.patient_id)
        request = AcknowledgeRequest(alert_id=alert_id, person_id=viewer.person_id, person_name=viewer.name)
        return await self._bus.request(alerts.ACKNOWLEDGE, request, Alert)

    async def hubs(self) -> HubList:
        """Every hub, for technicians; it names no patient."""
        return await self._bus.request(registry.HUBS, Empty(), HubList)

    async def unassigned(self) -> UnassignedAnswer:
        """Devices whose readings belong to nobody yet, for technicians; it holds no values."""
        return await self._bus.request(readings.UNASSIGNED, Empty(), UnassignedAnswer)
