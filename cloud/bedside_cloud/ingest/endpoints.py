"""What ingest answers: the newest values, trends, waveforms, and devices that nobody owns yet."""

from collections.abc import Callable
from typing import Any

from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import (
    LATEST,
    TREND,
    UNASSIGNED,
    WAVEFORMS,
    LatestAnswer,
    LatestRequest,
    StoredReading,
    TrendAnswer,
    TrendPoint,
    TrendRequest,
    UnassignedAnswer,
    UnassignedDevice,
    WaveformPiece,
    WaveformsAnswer,
    WaveformsRequest,
)
from bedside_cloud.contracts.registry import AssignmentSnapshot
from bedside_cloud.database.pool import Database, fetch_all
from bedside_cloud.database.times import to_time
from bedside_cloud.ingest.assignments import Assignments
from bedside_cloud.ingest.lanes import SQL
from bedside_profiles.readings import Metric

LATEST_FIELDS = (
    *("patient_id", "device_id", "metric", "value", "range_flag", "modality", "taken_at_ms", "store_id", "seq"),
)


class Endpoints:
    """Reads only; each answer is one statement."""

    def __init__(self, database: Database, assignments: Callable[[], AssignmentSnapshot]) -> None:
        self._database = database
        self._assignments = assignments

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of the service."""
        return (
            Endpoint(LATEST, LatestRequest, self.latest),
            Endpoint(TREND, TrendRequest, self.trend),
            Endpoint(WAVEFORMS, WaveformsRequest, self.waveforms),
            Endpoint(UNASSIGNED, Empty, self.unassigned),
        )

    async def latest(self, request: LatestRequest) -> LatestAnswer:
        async with self._database.transaction() as connection:
            rows = await fetch_all(
                connection,
                SQL["latest_readings"],
                {"patient_ids": list(request.patient_ids), "metrics": [metric.value for metric in Metric]},
            )
        return LatestAnswer(
            readings=tuple(StoredReading.model_validate(dict(zip(LATEST_FIELDS, row, strict=True))) for row in rows)
        )

    async def trend(self, request: TrendRequest) -> TrendAnswer:
        parameters = {
            "patient_id": request.patient_id,
            "metric": request.metric.value,
            "from_at": to_time(request.from_ms),
            "until_at": to_time(request.until_ms),
        }
        async with self._database.transaction() as connection:
            if request.columns is None:
                rows = await fetch_all(connection, SQL["trend"], {**parameters, "most": request.most})
            else:
                column_ms = max(1.0, (request.until_ms - request.from_ms) / request.columns)
                columns = {"from_ms": request.from_ms, "column_ms": column_ms}
                rows = await fetch_all(connection, SQL["trend_extremes"], {**parameters, **columns})
        return TrendAnswer(
            points=tuple(TrendPoint(taken_at_ms=at, value=value, range_flag=flag) for at, value, flag in rows)
        )

    async def waveforms(self, request: WaveformsRequest) -> WaveformsAnswer:
        snapshot = self._assignments()
        owned, retired = Assignments(snapshot).of_patient(request.patient_id), snapshot.retirements
        parameters = {
            "device_ids": [stretch.device_id for stretch in owned],
            "owned_from": [to_time(stretch.from_ms) for stretch in owned],
            "owned_until": [None if stretch.until_ms is None else to_time(stretch.until_ms) for stretch in owned],
            "retired_hubs": [out.hub_id for out in retired],
            "retired_from": [to_time(out.from_ms) for out in retired],
            "retired_until": [None if out.until_ms is None else to_time(out.until_ms) for out in retired],
            "signal": request.signal.value,
            "from_at": to_time(request.from_ms),
            "until_at": to_time(request.until_ms),
            "most": request.most,
        }
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["waveforms"], parameters)
        return WaveformsAnswer(
            pieces=tuple(
                [
                    WaveformPiece(device_id=device_id, rate_hz=rate_hz, samples=tuple(samples), taken_at_ms=at)
                    for device_id, rate_hz, samples, at in rows
                ]
            )
        )

    async def unassigned(self, _request: Empty) -> UnassignedAnswer:
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["unassigned"], {})
        return UnassignedAnswer(
            devices=tuple(
                UnassignedDevice(
                    hub_id=hub_id,
                    device_id=device_id,
                    readings=readings,
                    first_taken_at_ms=first,
                    last_taken_at_ms=last,
                )
                for hub_id, device_id, readings, first, last in rows
            )
        )
