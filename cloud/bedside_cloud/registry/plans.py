"""Issuing care plans: whatever changes what a hub should do makes a new plan, signed, in the same transaction."""

import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from bedside_cloud.contracts.registry import EpisodeState
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.database.times import to_ms
from bedside_cloud.registry.limits import kept
from bedside_cloud.registry.signing import Signer
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice, needs_of
from bedside_profiles.wire.kinds import SCHEMA_VERSION

SQL = Queries(Path(__file__).parent / "queries.sql")


class PlanIssuer:
    """`clock` is the wall clock; the caller's transaction holds the patient's row."""

    def __init__(self, signer: Signer, clock: Callable[[], datetime]) -> None:
        self._signer = signer
        self._clock = clock

    async def issue(self, connection: Connection, patient_id: str, *, above_version: int = 0) -> str | None:
        """A new plan for the hub that serves the patient; its id, or None when no hub does."""
        rows = await fetch_all(connection, SQL["placement_of_patient"], {"patient_id": patient_id})
        if not rows:
            return None
        hub_id: str = rows[0][0]
        state = await open_state(connection, patient_id)
        await self._issue(connection, hub_id, patient_id, state is EpisodeState.ACTIVE, above_version)
        return hub_id

    async def withdraw(self, connection: Connection, hub_id: str, patient_id: str, *, above_version: int = 0) -> None:
        """The hub serves this patient no more: an inactive plan makes it measure and raise nothing."""
        await self._issue(connection, hub_id, patient_id, active=False, above_version=above_version)

    async def _issue(
        self, connection: Connection, hub_id: str, patient_id: str, active: bool, above_version: int
    ) -> None:
        await connection.execute(SQL["lock_hub"], {"hub_id": hub_id})
        both = {"hub_id": hub_id, "patient_id": patient_id}
        limits = await fetch_all(connection, SQL["limits_in_force"], both)
        raw_rules, emergency_number, call_back_number, raw_further = limits[0] if limits else ([], "", "", {})
        rules = kept(raw_rules, raw_further)
        devices = await fetch_all(connection, SQL["devices_of_patient"], both)
        others = await fetch_all(connection, SQL["others_on_devices_of_patient"], both)
        newest = (await fetch_all(connection, SQL["newest_version_of_hub"], both))[0][0]
        known = await fetch_all(connection, SQL["plan_id_of_pair"], both)
        now = self._clock()
        plan = CarePlan(
            schema=SCHEMA_VERSION,
            plan_id=known[0][0] if known else str(uuid.uuid4()),
            version=max(newest, above_version) + 1,
            hub_id=hub_id,
            patient_id=patient_id,
            issued_at_ms=to_ms(now),
            active=active,
            rules=rules.thresholds,
            devices=_planned(devices),
            emergency_number=emergency_number,
            call_back_number=call_back_number,
            rates=rules.rates,
            cadences=rules.cadences,
            technical=rules.technical,
            needs=needs_of(rules.rates, rules.cadences, rules.technical),
            others=_planned(others),
            cover=rules.cover,
        )
        await connection.execute(
            SQL["insert_plan"],
            {
                **both,
                "plan_id": plan.plan_id,
                "version": plan.version,
                "active": plan.active,
                "rules": Jsonb(raw_rules),
                "document": self._signer.signed(plan),
                "issued_at": now,
            },
        )


def _planned(rows: Iterable[TupleRow]) -> tuple[PlannedDevice, ...]:
    return tuple(
        PlannedDevice(device_id, to_ms(from_at), None if until_at is None else to_ms(until_at), user)
        for device_id, from_at, until_at, user in rows
    )


async def open_state(connection: Connection, patient_id: str) -> EpisodeState | None:
    """The state of the patient's open episode; None when there is none."""
    rows = await fetch_all(connection, SQL["open_episode"], {"patient_id": patient_id})
    return EpisodeState(rows[0][1]) if rows else None
