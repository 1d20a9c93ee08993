"""A patient's file: what serves and served them, and by which plans, each with its dates."""

from typing import Any

from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import patient_file
from bedside_cloud.contracts.patient_file import (
    MOST_PLANS,
    EpisodeEntry,
    FileRequest,
    IssuedPlan,
    MeasuredBy,
    PatientFile,
    ServedBy,
)
from bedside_cloud.database.pool import Database, fetch_all
from bedside_cloud.database.times import to_ms
from bedside_cloud.registry import store
from bedside_cloud.registry.plans import SQL


class PatientFiles:
    """Reads alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of these."""
        return (Endpoint(patient_file.PATIENT_FILE, FileRequest, self.file),)

    async def file(self, request: FileRequest) -> PatientFile:
        """All of it as it is at one moment."""
        async with self._database.transaction() as connection:
            roll = await store.all_patients(connection)
            patient = next((one for one in roll.patients if one.patient_id == request.patient_id), None)
            if patient is None:
                raise RefusedError(404, "There is no such patient.")
            whose = {"patient_id": request.patient_id, "most": MOST_PLANS}
            episodes = await fetch_all(connection, SQL["episodes_of_patient"], whose)
            hubs = await fetch_all(connection, SQL["placements_of_patient"], whose)
            devices = await fetch_all(connection, SQL["assignments_of_patient"], whose)
            plans = await fetch_all(connection, SQL["plans_of_patient"], whose)
            limits = await store.limits_in_force(connection, request.patient_id)
        return PatientFile(
            patient=patient,
            episodes=tuple(
                [
                    EpisodeEntry(
                        state=state, planned_at_ms=to_ms(planned), started_at_ms=_ms(began), ended_at_ms=_ms(end)
                    )
                    for state, planned, began, end in episodes
                ]
            ),
            hubs=tuple([ServedBy(hub_id=hub, from_ms=to_ms(since), until_ms=_ms(until)) for hub, since, until in hubs]),
            devices=tuple(
                [
                    MeasuredBy(device_id=device_id, from_ms=to_ms(since), until_ms=_ms(until), user=user)
                    for device_id, since, until, user in devices
                ]
            ),
            plans=tuple([_issued(*row) for row in plans]),
            limits=limits,
        )


def _issued(
    hub_id: str,
    version: int,
    active: bool,
    rules: int,
    issued: Any,
    answered: Any,
    outcome: str,
    reason: str,
    runs: bool,
) -> IssuedPlan:
    return IssuedPlan(
        hub_id=hub_id,
        version=version,
        active=active,
        rules=rules,
        issued_at_ms=to_ms(issued),
        answered_at_ms=_ms(answered),
        outcome=outcome,
        reason=reason,
        runs=runs,
    )


def _ms(moment: Any) -> int | None:
    return None if moment is None else to_ms(moment)
