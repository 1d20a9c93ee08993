"""SQL access of registry. Every function works in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.types.json import Jsonb

from bedside_cloud.contracts import registry as contracts
from bedside_cloud.contracts.readings import StoredEvent
from bedside_cloud.contracts.registry import (
    Assignment,
    AssignmentSnapshot,
    EpisodeState,
    FormerPlan,
    Hub,
    HubList,
    Patient,
    PatientList,
    Plan,
    PlanSnapshot,
)
from bedside_cloud.contracts.registry_administration import (
    DeviceEntry,
    DeviceRoll,
    LimitsRequest,
    PatientAnswer,
    PatientEntry,
    PatientRoll,
)
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.times import to_ms, to_time
from bedside_cloud.registry.limits import further, kept, rules_of
from bedside_cloud.registry.periods import Period
from bedside_cloud.registry.plans import SQL
from bedside_profiles.rules.thresholds import ThresholdRule
from bedside_profiles.wire.fields import from_map, to_map

OFFLINE_AFTER_SECONDS = 70.0
"""A hub says that it is there every 20 s; after three that did not come it is taken for offline, will or no will."""

"""In the record of deeds: whoever holds the state directory."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """A hub is out of service from `from_at` on, as it was entered at `noted_at`; `patient_id` is whom it served."""

    from_at: datetime
    new_hub_id: str | None
    patient_id: str | None
    noted_at: datetime


async def next_version(connection: Connection) -> int:
    """Count one change of a snapshot."""
    version: int = (await fetch_all(connection, SQL["next_version"], {}))[0][0]
    return version


async def put_patient(connection: Connection, name: str, birth_date: date, mrn: str) -> PatientAnswer:
    """Add a patient, or correct the one with this medical record number."""
    parameters = {"name": name, "birth_date": birth_date, "mrn": mrn}
    ((patient_id, created),) = await fetch_all(connection, SQL["put_patient"], parameters)
    return PatientAnswer(patient_id=patient_id, created=created)


async def lock_patient(connection: Connection, patient_id: str) -> bool:
    """Hold the patient's row until the transaction ends; False when there is no such patient."""
    return bool(await fetch_all(connection, SQL["lock_patient"], {"patient_id": patient_id}))


async def move_episode(connection: Connection, patient_id: str, state: EpisodeState) -> None:
    """Move the open episode, or begin a new one. The step was checked."""
    rows = await fetch_all(connection, SQL["open_episode"], {"patient_id": patient_id})
    if rows:
        episode_id = rows[0][0]
    else:
        episode_id = (await fetch_all(connection, SQL["insert_episode"], {"patient_id": patient_id}))[0][0]
    parameters = {"episode_id": episode_id, "state": state.value}
    await connection.execute(SQL["move_episode"], parameters)
    await connection.execute(SQL["insert_episode_step"], parameters)


async def ensure_hub(connection: Connection, hub_id: str) -> None:
    """A row for the hub."""
    await connection.execute(SQL["ensure_hub"], {"hub_id": hub_id})


async def lock_hub(connection: Connection, hub_id: str) -> bool:
    """Hold the hub's row until the transaction ends; False when there is none."""
    return bool(await fetch_all(connection, SQL["lock_hub"], {"hub_id": hub_id}))


async def rename_hub(connection: Connection, hub_id: str, label: str) -> bool:
    """False when it was called so already."""
    return bool(await fetch_all(connection, SQL["rename_hub"], {"hub_id": hub_id, "label": label}))


async def patient_of_hub(connection: Connection, hub_id: str) -> str | None:
    """Whom the hub serves now."""
    rows = await fetch_all(connection, SQL["placement_of_hub"], {"hub_id": hub_id})
    return rows[0][0] if rows else None


async def open_retirement(connection: Connection, hub_id: str) -> Retirement | None:
    """Since when the hub is out of service; None when it is not."""
    rows = await fetch_all(connection, SQL["open_retirement"], {"hub_id": hub_id})
    return Retirement(*rows[0]) if rows else None


async def last_change_of_service(connection: Connection, hub_id: str) -> datetime | None:
    """When it last began or ceased to serve somebody, or came back into service; None when it never did."""
    latest: datetime | None = (await fetch_all(connection, SQL["last_change_of_service"], {"hub_id": hub_id}))[0][0]
    return latest


async def retire_hub(
    connection: Connection, hub_id: str, new_hub_id: str | None, patient_id: str | None, at: datetime
) -> None:
    """The hub serves nobody from then on. What it said of its buffer before that counts no more."""
    parameters = {"hub_id": hub_id, "new_hub_id": new_hub_id, "patient_id": patient_id, "at": at}
    for name in ("end_placement_at", "insert_retirement", "forget_waiting"):
        await connection.execute(SQL[name], parameters)


async def hand_over(connection: Connection, hub_id: str, new_hub_id: str, patient_id: str, at: datetime) -> None:
    """Another hub serves the patient from then on, with the devices that the first one had shown of them."""
    parameters = {"hub_id": hub_id, "new_hub_id": new_hub_id, "patient_id": patient_id, "at": at}
    for name in ("insert_placement_at", "hand_devices_over"):
        await connection.execute(SQL[name], parameters)


async def end_retirement(connection: Connection, hub_id: str) -> bool:
    """The hub may serve somebody again; False when it was not retired."""
    return bool(await fetch_all(connection, SQL["end_retirement"], {"hub_id": hub_id}))


async def add_deed(connection: Connection, actor: str, deed: str, subject: str, detail: str = "") -> None:
    """Write down who did what to which hub, in the chained record."""
    parameters = {"actor": actor, "deed": deed, "subject": subject, "detail": detail}
    await connection.execute(SQL["add_deed"], parameters)


async def place(connection: Connection, hub_id: str, patient_id: str | None) -> list[tuple[str, str]] | None:
    """Let the hub serve this patient alone; hub and patient of each placement that ended, or None: it was so."""
    rows = await fetch_all(connection, SQL["placement_of_hub"], {"hub_id": hub_id})
    if (rows[0][0] if rows else None) == patient_id:
        return None
    both = {"hub_id": hub_id, "patient_id": patient_id}
    ended = await fetch_all(connection, SQL["end_placements"], both)
    if patient_id is not None:
        await connection.execute(SQL["insert_placement"], both)
    return [(row[0], row[1]) for row in ended]


async def put_device(connection: Connection, device_id: str, hub_id: str | None, profile: str) -> None:
    """A row for the device; what is known now replaces what was unknown."""
    parameters = {"device_id": device_id, "hub_id": hub_id, "profile": profile}
    await connection.execute(SQL["put_device"], parameters)


async def periods(connection: Connection, device_id: str) -> list[Period]:
    """Every period of the device, whose row is held until the transaction ends."""
    await connection.execute(SQL["lock_device"], {"device_id": device_id})
    rows = await fetch_all(connection, SQL["assignments_of_device"], {"device_id": device_id})
    return [Period(*row) for row in rows]


async def people_of_device(connection: Connection, device_id: str) -> list[str]:
    """Patients whom the device measures now."""
    return [row[0] for row in await fetch_all(connection, SQL["people_of_device"], {"device_id": device_id})]


async def insert_assignment(connection: Connection, device_id: str, period: Period) -> None:
    """From then on, until it is ended."""
    parameters = {"device_id": device_id, "patient_id": period.patient_id, "from_at": period.from_at}
    await connection.execute(SQL["insert_assignment"], {**parameters, "device_user": period.user})


async def end_assignment(connection: Connection, device_id: str, patient_id: str, until_at: datetime) -> None:
    """End the patient's open assignment."""
    parameters = {"device_id": device_id, "patient_id": patient_id, "until_at": until_at}
    await connection.execute(SQL["end_assignment"], parameters)


async def add_team_member(connection: Connection, patient_id: str, person_id: str) -> bool:
    """False when the person was in the team already."""
    parameters = {"patient_id": patient_id, "person_id": person_id}
    return bool(await fetch_all(connection, SQL["insert_team_member"], parameters))


async def limits_in_force(connection: Connection, patient_id: str) -> LimitsRequest | None:
    """What was set last, as it was asked for."""
    rows = await fetch_all(connection, SQL["limits_in_force"], {"patient_id": patient_id})
    if not rows:
        return None
    raw_rules, emergency_number, call_back_number, raw_further = rows[0]
    rules = kept(raw_rules, raw_further)
    return LimitsRequest(
        patient_id=patient_id,
        rules=rules.thresholds,
        rates=rules.rates,
        cadences=rules.cadences,
        technical=rules.technical,
        cover=rules.cover,
        emergency_number=emergency_number,
        call_back_number=call_back_number,
    )


async def insert_limits(connection: Connection, limits: LimitsRequest) -> None:
    """These are in force from now on."""
    await connection.execute(
        SQL["insert_limits"],
        {
            "patient_id": limits.patient_id,
            "rules": Jsonb([to_map(rule) for rule in limits.rules]),
            "further": Jsonb(further(rules_of(limits))),
            "emergency_number": limits.emergency_number,
            "call_back_number": limits.call_back_number,
        },
    )


async def assignments(connection: Connection) -> AssignmentSnapshot:
    """Every assignment there ever was."""
    version = await _version(connection)
    rows = await fetch_all(connection, SQL["assignments"], {})
    return AssignmentSnapshot(
        version=version,
        assignments=tuple(
            Assignment(
                device_id=device_id,
                patient_id=patient_id,
                from_ms=to_ms(from_at),
                until_ms=None if until_at is None else to_ms(until_at),
                user=user,
            )
            for device_id, patient_id, from_at, until_at, user in rows
        ),
        retirements=tuple(
            [
                contracts.Retirement(
                    hub_id=hub_id, from_ms=to_ms(from_at), until_ms=None if until_at is None else to_ms(until_at)
                )
                for hub_id, from_at, until_at in await fetch_all(connection, SQL["retirements"], {})
            ]
        ),
    )


async def plans(connection: Connection) -> PlanSnapshot:
    """The newest plan of every patient."""
    version = await _version(connection)
    rows = await fetch_all(connection, SQL["plans_snapshot"], {})
    return PlanSnapshot(
        version=version,
        plans=tuple(
            Plan(
                patient_id=patient_id,
                plan_id=plan_id,
                version=plan_version,
                active=active,
                hub_id=hub_id,
                rules=_rules(raw_rules),
            )
            for patient_id, plan_id, plan_version, active, hub_id, raw_rules in rows
        ),
        former=tuple(
            [
                FormerPlan(plan_id=plan_id, hub_id=hub_id, patient_id=patient_id)
                for plan_id, hub_id, patient_id in await fetch_all(connection, SQL["former_plans"], {})
            ]
        ),
    )


async def patients_of_person(connection: Connection, person_id: str) -> PatientList:
    """Patients with an open episode whose care team the person belongs to."""
    rows = await fetch_all(connection, SQL["patients_of_person"], {"person_id": person_id})
    return PatientList(
        patients=tuple(
            Patient(
                patient_id=patient_id,
                name=name,
                birth_date=birth_date.isoformat(),
                mrn=mrn,
                episode_state=state,
                hub_ids=(hub_id,) if hub_id else (),
            )
            for patient_id, name, birth_date, mrn, state, hub_id in rows
        )
    )


async def all_patients(connection: Connection) -> PatientRoll:
    """Every patient."""
    rows = await fetch_all(connection, SQL["all_patients"], {})
    return PatientRoll(
        patients=tuple(
            PatientEntry(
                patient_id=patient_id,
                name=name,
                birth_date=birth_date.isoformat(),
                mrn=mrn,
                episode_state=state,
                hub_id=hub_id,
                device_ids=tuple(device_ids),
            )
            for patient_id, name, birth_date, mrn, state, hub_id, device_ids in rows
        )
    )


async def hubs(connection: Connection) -> HubList:
    """Every hub."""
    rows = await fetch_all(connection, SQL["hubs"], {"offline_after_seconds": OFFLINE_AFTER_SECONDS})
    return HubList(
        hubs=tuple(
            Hub(
                hub_id=hub_id,
                state=state,
                online=bool(online),
                last_seen_ms=None if last_seen_at is None else to_ms(last_seen_at),
                agent_version=agent_version,
                plan_version=plan_version,
                label=label,
                waiting=waiting,
                waiting_at_ms=None if waiting_at is None else to_ms(waiting_at),
                retired_at_ms=None if retired_at is None else to_ms(retired_at),
                replaced_by=new_hub_id,
            )
            for hub_id, state, online, last_seen_at, agent_version, plan_version, label, *rest in rows
            for waiting, waiting_at, retired_at, new_hub_id in (rest,)
        )
    )


async def devices(connection: Connection) -> DeviceRoll:
    """Every device, once for each person whom it measures."""
    rows = await fetch_all(connection, SQL["devices"], {})
    return DeviceRoll(
        devices=tuple(
            DeviceEntry(device_id=device_id, hub_id=hub_id, profile=profile, patient_id=patient_id, user=user)
            for device_id, hub_id, profile, patient_id, user in rows
        )
    )


async def insert_event(connection: Connection, stored: StoredEvent) -> bool:
    """Keep what a hub reported; False when it was kept already."""
    event = stored.event
    parameters = {
        "hub_id": stored.hub_id,
        "store_id": stored.store_id,
        "seq": event.seq,
        "kind": event.kind,
        "device_id": event.device_id,
        "at": to_time(event.at_ms),
        "fields": Jsonb({field.name: field.value for field in event.fields}),
    }
    return bool(await fetch_all(connection, SQL["insert_hub_event"], parameters))


async def _version(connection: Connection) -> int:
    version: int = (await fetch_all(connection, SQL["snapshot_version"], {}))[0][0]
    return version


def _rules(raw: Sequence[object]) -> tuple[ThresholdRule, ...]:
    return tuple(from_map(ThresholdRule, rule) for rule in raw)
