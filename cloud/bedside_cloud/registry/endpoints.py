"""What registry answers: snapshots for services, lists for screens, and what a tech changes."""

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import BusError, RefusedError
from bedside_cloud.contracts import registry, registry_administration
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import STORED_EVENT, StoredEvent
from bedside_cloud.contracts.registry import (
    AssignmentSnapshot,
    EpisodeState,
    HubList,
    PatientList,
    PatientsRequest,
    PlanSnapshot,
)
from bedside_cloud.contracts.registry_administration import (
    AssignRequest,
    DeviceRoll,
    Done,
    EpisodeRequest,
    LimitsRequest,
    PatientAnswer,
    PatientRequest,
    PatientRoll,
    PlaceRequest,
    ReleaseRequest,
    TeamRequest,
)
from bedside_cloud.database.pool import Connection, Database
from bedside_cloud.database.times import to_time
from bedside_cloud.registry import store
from bedside_cloud.registry.episodes import may_move
from bedside_cloud.registry.limits import problem, rules_of
from bedside_cloud.registry.neighbour import Neighbour
from bedside_cloud.registry.periods import Period, conflict
from bedside_cloud.registry.plans import PlanIssuer, open_state
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.topics import check_hub_id

LOG = logging.getLogger(__name__)

DEVICE_ADDED = "device_added"
WIPED = "wiped"
MOST_USER = 65_535
"""As high as a care plan can name a slot."""


class Endpoints:
    """`changed(version, hub_ids)` is awaited after each commit that changed a snapshot; the hubs' plans did too."""

    def __init__(
        self,
        database: Database,
        plans: PlanIssuer,
        clock: Callable[[], datetime],
        changed: Callable[[int, tuple[str, ...]], Awaitable[None]],
        identity: Neighbour,
    ) -> None:
        self._identity = identity
        self._database = database
        self._plans = plans
        self._clock = clock
        self._changed = changed

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of the service."""
        return (
            Endpoint(registry.ASSIGNMENTS, Empty, self.assignments),
            Endpoint(registry.PLANS, Empty, self.plan_snapshot),
            Endpoint(registry.PATIENTS, PatientsRequest, self.patients),
            Endpoint(registry.HUBS, Empty, self.hubs),
            Endpoint(STORED_EVENT, StoredEvent, self.take_event),
            Endpoint(registry_administration.PATIENT_ADD, PatientRequest, self.add_patient),
            Endpoint(registry_administration.PATIENTS_ALL, Empty, self.all_patients),
            Endpoint(registry_administration.EPISODE_SET, EpisodeRequest, self.set_episode),
            Endpoint(registry_administration.HUB_PLACE, PlaceRequest, self.place_hub),
            Endpoint(registry_administration.DEVICE_ASSIGN, AssignRequest, self.assign_device),
            Endpoint(registry_administration.DEVICE_RELEASE, ReleaseRequest, self.release_device),
            Endpoint(registry_administration.DEVICES, Empty, self.devices),
            Endpoint(registry_administration.TEAM_ADD, TeamRequest, self.add_team_member),
            Endpoint(registry_administration.LIMITS_SET, LimitsRequest, self.set_limits),
        )

    async def assignments(self, _request: Empty) -> AssignmentSnapshot:
        async with self._database.transaction() as connection:
            return await store.assignments(connection)

    async def plan_snapshot(self, _request: Empty) -> PlanSnapshot:
        async with self._database.transaction() as connection:
            return await store.plans(connection)

    async def patients(self, request: PatientsRequest) -> PatientList:
        person_id = _checked_uuid(request.person_id, "person")
        async with self._database.transaction() as connection:
            return await store.patients_of_person(connection, person_id)

    async def all_patients(self, _request: Empty) -> PatientRoll:
        async with self._database.transaction() as connection:
            return await store.all_patients(connection)

    async def hubs(self, _request: Empty) -> HubList:
        async with self._database.transaction() as connection:
            return await store.hubs(connection)

    async def devices(self, _request: Empty) -> DeviceRoll:
        async with self._database.transaction() as connection:
            return await store.devices(connection)

    async def take_event(self, stored: StoredEvent) -> Empty:
        """Answered after the commit: ingest then forgets the event."""
        async with self._database.transaction() as connection:
            await store.ensure_hub(connection, stored.hub_id)
            fresh = await store.insert_event(connection, stored)
            device_id = stored.event.device_id
            if fresh and stored.event.kind == DEVICE_ADDED and device_id is not None:
                profile = next((field.value for field in stored.event.fields if field.name == "profile"), "")
                await store.put_device(connection, device_id, stored.hub_id, profile)
            if fresh and stored.event.kind == WIPED:
                await self._say_wiped(stored.hub_id)
        return Empty()

    async def _say_wiped(self, hub_id: str) -> None:
        """Before our commit: while identity does not answer, ingest keeps the event and brings it again."""
        try:
            await self._identity.wiped(hub_id)
        except BusError as cause:
            raise RefusedError(503, "identity has not taken it yet") from cause

    async def add_patient(self, request: PatientRequest) -> PatientAnswer:
        try:
            birth_date = date.fromisoformat(request.birth_date)
        except ValueError as wrong:
            raise RefusedError(400, "A birth date is written as 1950-12-31.") from wrong
        if birth_date > self._clock().date():
            raise RefusedError(400, "The birth date lies in the future.")
        name, mrn = request.name.strip(), request.mrn.strip()
        if not 1 <= len(name) <= 200 or not 1 <= len(mrn) <= 64:
            raise RefusedError(400, "A patient has a name (up to 200 signs) and a record number (up to 64).")
        async with self._database.transaction() as connection:
            return await store.put_patient(connection, name, birth_date, mrn)

    async def set_episode(self, request: EpisodeRequest) -> Done:
        async with self._patient(request.patient_id) as connection:
            present = await open_state(connection, request.patient_id)
            if present is request.state or (present is None and request.state is EpisodeState.ENDED):
                return Done(changed=False)
            if not may_move(present, request.state):
                was = "no open episode" if present is None else f"the episode is {present.value}"
                raise RefusedError(409, f"There is {was}; it cannot become {request.state.value} from there.")
            await store.move_episode(connection, request.patient_id, request.state)
            announcement = await self._issued(connection, request.patient_id)
        await self._changed(*announcement)
        return Done(changed=True)

    async def place_hub(self, request: PlaceRequest) -> Done:
        hub_id = _checked_hub_id(request.hub_id)
        async with self._maybe_patient(request.patient_id) as connection:
            await store.ensure_hub(connection, hub_id)
            await store.lock_hub(connection, hub_id)
            if request.patient_id is not None:
                await self._check_in_service(connection, hub_id)
            ended = await store.place(connection, hub_id, request.patient_id)
            if ended is None:
                return Done(changed=False)
            hub_ids = []
            for other_hub_id, other_patient_id in ended:
                await self._plans.withdraw(connection, other_hub_id, other_patient_id)
                hub_ids.append(other_hub_id)
            if request.patient_id is not None:
                await self._plans.issue(connection, request.patient_id)
                hub_ids.append(hub_id)
            version = await store.next_version(connection)
        await self._changed(version, tuple(dict.fromkeys(hub_ids)))
        return Done(changed=True)

    async def _check_in_service(self, connection: Connection, hub_id: str) -> None:
        """Refused for a retired hub. One that has enrolled since, which nobody may have heard, is in service again."""
        retired = await store.open_retirement(connection, hub_id)
        if retired is None:
            return
        try:
            active_since = await self._identity.active_since(hub_id)
        except BusError as cause:
            raise RefusedError(503, "Nobody can say whether the hub has enrolled again. Try again later.") from cause
        # Enrolments are dated in whole seconds: one within the second of the retirement counts as before it.
        if active_since is None or active_since <= retired.noted_at:
            raise RefusedError(409, f"{hub_id} is retired. It has to enrol again first, with a new claim.")
        await store.end_retirement(connection, hub_id)

    async def assign_device(self, request: AssignRequest) -> Done:
        from_at = self._clock() if request.from_ms is None else to_time(request.from_ms)
        if not 1 <= len(request.device_id) <= 64:
            raise RefusedError(400, "A device's id has 1 to 64 signs.")
        if request.user is not None and not 0 <= request.user <= MOST_USER:
            raise RefusedError(400, f"A user's number on a device lies between 0 and {MOST_USER}.")
        _checked_uuid(request.patient_id, "patient")
        async with self._people_of(request.device_id, request.patient_id) as connection:
            if not await store.lock_patient(connection, request.patient_id):
                raise RefusedError(404, "There is no such patient.")
            await store.put_device(connection, request.device_id, None, "")
            periods = await store.periods(connection, request.device_id)
            wanted = Period(request.patient_id, from_at, None, request.user)
            present = conflict(periods, wanted)
            if present is not None:
                if (present.patient_id, present.user, present.until_at) == (wanted.patient_id, wanted.user, None):
                    return Done(changed=False)
                raise RefusedError(409, _why_not(present, wanted))
            await store.insert_assignment(connection, request.device_id, wanted)
            announcement = await self._issued(connection, *_first(request.patient_id, periods))
        await self._changed(*announcement)
        return Done(changed=True)

    async def release_device(self, request: ReleaseRequest) -> Done:
        until_at = self._clock() if request.until_ms is None else to_time(request.until_ms)
        async with self._people_of(request.device_id) as connection:
            periods = await store.periods(connection, request.device_id)
            wanted = [
                period
                for period in periods
                if period.until_at is None and request.patient_id in (None, period.patient_id)
            ]
            if not wanted:
                return Done(changed=False)
            if len(wanted) > 1:
                raise RefusedError(409, "The device measures several people. Say whom it shall not measure any more.")
            if until_at < wanted[0].from_at:
                raise RefusedError(409, "The assignment began after that time.")
            await store.end_assignment(connection, request.device_id, wanted[0].patient_id, until_at)
            announcement = await self._issued(connection, *_first(wanted[0].patient_id, periods))
        await self._changed(*announcement)
        return Done(changed=True)

    async def add_team_member(self, request: TeamRequest) -> Done:
        person_id = _checked_uuid(request.person_id, "person")
        async with self._patient(request.patient_id) as connection:
            added = await store.add_team_member(connection, request.patient_id, person_id)
            version = await store.next_version(connection)
        if added:
            await self._changed(version, ())
        return Done(changed=added)

    async def set_limits(self, request: LimitsRequest) -> Done:
        wrong = problem(rules_of(request))
        if wrong is not None:
            raise RefusedError(400, wrong)
        async with self._patient(request.patient_id) as connection:
            if await store.limits_in_force(connection, request.patient_id) == request:
                return Done(changed=False)
            await store.insert_limits(connection, request)
            announcement = await self._issued(connection, request.patient_id)
        await self._changed(*announcement)
        return Done(changed=True)

    async def _issued(self, connection: Connection, *patient_ids: str) -> tuple[int, tuple[str, ...]]:
        hub_ids = [await self._plans.issue(connection, patient_id) for patient_id in patient_ids]
        return await store.next_version(connection), tuple(hub_id for hub_id in hub_ids if hub_id)

    @asynccontextmanager
    async def _people_of(self, device_id: str, *patient_ids: str) -> AsyncIterator[Connection]:
        """A transaction that holds the rows of whom the device measures, and of these: their plans may all change.

        In one order, so that nobody waits for one another in a circle.
        """
        async with self._database.transaction() as connection:
            people = {*await store.people_of_device(connection, device_id), *patient_ids}
            for patient_id in sorted(people):
                await store.lock_patient(connection, patient_id)
            yield connection

    @asynccontextmanager
    async def _patient(self, patient_id: str) -> AsyncIterator[Connection]:
        """A transaction that holds the patient's row: one change of a patient at a time."""
        _checked_uuid(patient_id, "patient")
        async with self._database.transaction() as connection:
            if not await store.lock_patient(connection, patient_id):
                raise RefusedError(404, "There is no such patient.")
            yield connection

    @asynccontextmanager
    async def _maybe_patient(self, patient_id: str | None) -> AsyncIterator[Connection]:
        if patient_id is not None:
            async with self._patient(patient_id) as connection:
                yield connection
        else:
            async with self._database.transaction() as connection:
                yield connection


def _first(patient_id: str, periods: Iterable[Period]) -> tuple[str, ...]:
    """The patient, and whom the device measures beside: their plans tell of one another."""
    beside = {period.patient_id for period in periods if period.until_at is None} - {patient_id}
    return (patient_id, *sorted(beside))


def _why_not(present: Period, wanted: Period) -> str:
    if present.patient_id == wanted.patient_id:
        return "The device measures this patient in another slot, or in a part of that time. Release it first."
    if present.user is None and wanted.user is None:
        return "The device measures another patient in that time. Release it first, or name a slot for each of the two."
    return "That slot, or the one that counts for who named none, is another patient's in that time. Name another one."


def _checked_uuid(text: str, what: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as wrong:
        raise RefusedError(404, f"There is no such {what}.") from wrong


def _checked_hub_id(hub_id: str) -> str:
    try:
        return check_hub_id(hub_id)
    except MalformedError as wrong:
        raise RefusedError(400, str(wrong)) from wrong
