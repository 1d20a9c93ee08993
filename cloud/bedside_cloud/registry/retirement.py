"""Hubs that go out of service, with or without another one in their place, and what they are called."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from bedside_cloud.bus.actor import present_actor
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import registry_administration
from bedside_cloud.contracts.registry_administration import Done, RenameRequest, Retired, RetireRequest
from bedside_cloud.database.pool import Connection, Database, fetch_all
from bedside_cloud.database.times import to_ms, to_time
from bedside_cloud.registry import store
from bedside_cloud.registry.plans import SQL, PlanIssuer

LOG = logging.getLogger(__name__)

LONGEST_LABEL = 64


class Retirements:
    """`changed` is as for `Endpoints`."""

    def __init__(
        self,
        database: Database,
        plans: PlanIssuer,
        clock: Callable[[], datetime],
        changed: Callable[[int, tuple[str, ...]], Awaitable[None]],
    ) -> None:
        self._database = database
        self._plans = plans
        self._clock = clock
        self._changed = changed

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of these."""
        return (
            Endpoint(registry_administration.HUB_RENAME, RenameRequest, self.rename),
            Endpoint(registry_administration.HUB_RETIRE, RetireRequest, self.retire),
        )

    async def rename(self, request: RenameRequest) -> Done:
        """The label is not in the record of deeds: somebody may have written a name into it."""
        label = request.label.strip()
        if len(label) > LONGEST_LABEL or not label.isprintable():
            raise RefusedError(400, f"A label has up to {LONGEST_LABEL} signs that can be printed.")
        async with self._database.transaction() as connection:
            await _hold(connection, request.hub_id)
            changed = await store.rename_hub(connection, request.hub_id, label)
            if changed:
                await store.add_deed(connection, present_actor(), "hub_renamed", request.hub_id)
        return Done(changed=changed)

    async def retire(self, request: RetireRequest) -> Retired:
        """Everything in one transaction: between the two hubs there is no moment in which nobody serves the patient."""
        old, new, now = request.hub_id, request.new_hub_id, self._clock()
        at = now if request.at_ms is None else to_time(request.at_ms)
        if at > now:
            raise RefusedError(400, "That moment lies in the future. Do it when the hub goes out of service.")
        if new == old:
            raise RefusedError(400, "A hub cannot replace itself.")
        async with self._database.transaction() as connection:
            patient_id = await store.patient_of_hub(connection, old)
            if patient_id is not None:
                await store.lock_patient(connection, patient_id)
            await _hold(connection, *(hub_id for hub_id in (old, new) if hub_id is not None))
            present = await store.open_retirement(connection, old)
            if present is not None:
                return await _told_again(connection, old, new, present)
            if await store.patient_of_hub(connection, old) != patient_id:
                raise RefusedError(409, f"Somebody else gave {old} to another patient just now. Look, then try again.")
            await self._check(connection, old, new, patient_id, at)
            await store.retire_hub(connection, old, new, patient_id, at)
            hub_ids = [old]
            if patient_id is not None:
                await self._plans.withdraw(connection, old, patient_id)
            if patient_id is not None and new is not None:
                await store.hand_over(connection, old, new, patient_id, at)
                await self._plans.issue(connection, patient_id)
                hub_ids.append(new)
            moment = at.isoformat(timespec="milliseconds")
            deed, detail = ("hub_taken_out", moment) if new is None else ("hub_replaced", f"{new} {moment}")
            await store.add_deed(connection, present_actor(), deed, old, detail)
            version = await store.next_version(connection)
            device_ids = await _devices(connection, patient_id)
        LOG.info("retired hub=%s new=%s", old, new)
        await self._changed(version, tuple(hub_ids))
        return Retired(
            changed=True,
            hub_id=old,
            at_ms=to_ms(at),
            new_hub_id=new,
            patient_id=patient_id,
            device_ids=device_ids,
        )

    async def _check(
        self, connection: Connection, old: str, new: str | None, patient_id: str | None, at: datetime
    ) -> None:
        if new is not None:
            if patient_id is None:
                raise RefusedError(409, f"{old} serves nobody. Retire it, and give {new} to the patient.")
            if await store.open_retirement(connection, new) is not None:
                raise RefusedError(409, f"{new} is retired itself. It has to enrol again first, with a new claim.")
            if await store.patient_of_hub(connection, new) is not None:
                raise RefusedError(409, f"{new} serves another patient. Take it away from them first.")
        for hub_id in (old, new):
            latest = None if hub_id is None else await store.last_change_of_service(connection, hub_id)
            if latest is not None and latest > at:
                moment = latest.isoformat(timespec="seconds")
                raise RefusedError(409, f"Whom {hub_id} serves changed at {moment}. Name no earlier moment.")


async def _hold(connection: Connection, *hub_ids: str) -> None:
    """Hold the hubs' rows until the transaction ends, in one order."""
    for hub_id in sorted(hub_ids):
        if not await store.lock_hub(connection, hub_id):
            raise RefusedError(404, f"There is no hub {hub_id}. See them: bedside-cloud fleet hub list.")


async def _told_again(connection: Connection, old: str, new: str | None, present: store.Retirement) -> Retired:
    """What was done the first time; refused when something else is asked for now."""
    if new is not None and present.new_hub_id is None:
        raise RefusedError(409, f"{old} is retired already, and serves nobody. Give {new} to the patient.")
    if new is not None and present.new_hub_id != new:
        raise RefusedError(409, f"{old} was replaced by {present.new_hub_id} already.")
    return Retired(
        changed=False,
        hub_id=old,
        at_ms=to_ms(present.from_at),
        new_hub_id=present.new_hub_id,
        patient_id=present.patient_id,
        device_ids=await _devices(connection, present.patient_id),
    )


async def _devices(connection: Connection, patient_id: str | None) -> tuple[str, ...]:
    if patient_id is None:
        return ()
    rows = await fetch_all(connection, SQL["devices_of_patient"], {"patient_id": patient_id})
    return tuple([row[0] for row in rows])
