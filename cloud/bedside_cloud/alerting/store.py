"""Alerts and rule states in PostgreSQL. The caller holds the patient's lock: one writer per alert."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from bedside_cloud.alerting.lifecycle import AlertRecord, Raise, Word
from bedside_cloud.contracts.alerts import Alert, AlertSource
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.database.times import to_ms, to_time
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import RuleState, Side, ThresholdRule
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.fields import from_map, to_map

SQL = Queries(Path(__file__).parent / "queries.sql")


async def lock_patient(connection: Connection, patient_id: str) -> None:
    """Hold the patient until the transaction ends, so that nobody else changes their alerts."""
    await connection.execute(SQL["lock_patient"], {"patient_id": patient_id})


async def active_alert(
    connection: Connection, patient_id: str, condition: str, *, test: bool, device_id: str = ""
) -> AlertRecord | None:
    """The active alert of one condition, if there is one."""
    parameters = {"patient_id": patient_id, "condition": condition, "device_id": device_id, "test": test}
    rows = await _records(connection, "active_alert", parameters)
    return rows[0] if rows else None


async def alert_around(connection: Connection, raise_: Raise) -> AlertRecord | None:
    """The active alert of what was raised, else one that is over but was present at that moment."""
    parameters = {
        "patient_id": raise_.patient_id,
        "condition": raise_.condition,
        "device_id": raise_.device_id,
        "test": raise_.test,
        "at": to_time(raise_.at_ms),
    }
    rows = await _records(connection, "alert_around", parameters)
    return rows[0] if rows else None


async def alert_by_id(connection: Connection, alert_id: str) -> AlertRecord | None:
    """An alert by its id."""
    rows = await _records(connection, "alert_by_id", {"alert_id": alert_id})
    return rows[0] if rows else None


async def alerts_of(connection: Connection, patient_ids: Sequence[str], since_ms: int) -> list[AlertRecord]:
    """Alerts that are active, unacknowledged, or changed since; newest first."""
    parameters = {"patient_ids": list(patient_ids), "since": to_time(since_ms)}
    records = await _records(connection, "alerts_of_patients", parameters)
    return sorted(records, key=lambda record: record.first.at_ms, reverse=True)


async def alerts_of_hub(connection: Connection, hub_id: str, since_ms: int) -> list[AlertRecord]:
    """Alerts of a hub that are active or changed since; the one that changed last at the end."""
    records = await _records(connection, "alerts_of_hub", {"hub_id": hub_id, "since": to_time(since_ms)})
    return records[::-1]


async def patient_of(connection: Connection, alert_id: str) -> str | None:
    """Whose alert it is, for taking the patient's lock before reading it."""
    rows = await fetch_all(connection, SQL["patient_of_alert"], {"alert_id": alert_id})
    return rows[0][0] if rows else None


async def save_alert(
    connection: Connection,
    record: AlertRecord,
    change: str,
    *,
    source: AlertSource | None = None,
    by_person: str | None = None,
) -> None:
    """Write the alert, its sources, and one line of its history."""
    first = record.first
    await connection.execute(
        SQL["save_alert"],
        {
            "alert_id": record.alert_id,
            "patient_id": first.patient_id,
            "condition": first.condition,
            "kind": first.kind.value,
            "priority": record.priority.value,
            "version": record.version,
            "hub_id": first.hub_id,
            "episode": first.episode,
            "onset_at": to_time(first.onset_ms),
            "raised_at": to_time(first.at_ms),
            "heard_at": to_time(first.heard_at_ms),
            "metric": first.metric and first.metric.value,
            "side": first.side and first.side.value,
            "value": record.value,
            "range_flag": record.range_flag and record.range_flag.value,
            "limit_value": first.limit,
            "rule_id": first.rule_id,
            "plan_version": first.plan_version,
            "cleared_at": None if record.cleared_at_ms is None else to_time(record.cleared_at_ms),
            "acknowledged_at": None if record.acknowledged_at_ms is None else to_time(record.acknowledged_at_ms),
            "acknowledged_by": record.acknowledged_by,
            "acknowledged_name": record.acknowledged_name,
            "patient_says_well_at": None
            if record.patient_says_well_at_ms is None
            else to_time(record.patient_says_well_at_ms),
            "test": first.test,
            "device_id": first.device_id,
        },
    )
    for name, word in record.sources.items():
        await connection.execute(
            SQL["save_source"],
            {
                "alert_id": record.alert_id,
                "source": name.value,
                "present": word.present,
                "said_at": to_time(word.said_at_ms),
                "episode": word.episode,
            },
        )
    await connection.execute(
        SQL["save_history"],
        {
            "alert_id": record.alert_id,
            "version": record.version,
            "change": change,
            "source": source and source.value,
            "by_person": by_person,
        },
    )


def to_contract(record: AlertRecord) -> Alert:
    """The alert as other services see it."""
    first = record.first
    return Alert(
        alert_id=record.alert_id,
        patient_id=first.patient_id,
        condition=first.condition,
        kind=first.kind,
        priority=record.priority,
        version=record.version,
        active=record.active,
        raised_at_ms=first.at_ms,
        onset_ms=first.onset_ms,
        heard_at_ms=first.heard_at_ms,
        sources=tuple(source for source, word in sorted(record.sources.items()) if word.present),
        metric=first.metric,
        side=first.side,
        value=record.value,
        range_flag=record.range_flag,
        limit=first.limit,
        rule_id=first.rule_id,
        plan_version=first.plan_version,
        cleared_at_ms=record.cleared_at_ms,
        acknowledged_at_ms=record.acknowledged_at_ms,
        acknowledged_by=record.acknowledged_name,
        patient_says_well_at_ms=record.patient_says_well_at_ms,
        test=first.test,
        device_id=first.device_id or None,
    )


async def take_alarm(connection: Connection, hub_id: str, store_id: str, seq: int) -> bool:
    """Whether this alarm comes for the first time; it is taken from now on."""
    cursor = await connection.execute(SQL["take_alarm"], {"hub_id": hub_id, "store_id": store_id, "seq": seq})
    return cursor.rowcount == 1


async def end_episode(connection: Connection, episode: str, ended_at_ms: int) -> None:
    """Remember that the hub declared this occurrence over."""
    await connection.execute(SQL["end_episode"], {"episode": episode, "ended_at": to_time(ended_at_ms)})


async def episode_end(connection: Connection, episode: str) -> int | None:
    """When the hub declared this occurrence over (UTC ms), or None."""
    rows = await fetch_all(connection, SQL["episode_end"], {"episode": episode})
    return rows[0][0] if rows else None


@dataclass(frozen=True, slots=True)
class KeptState:
    """The state of one rule as it was kept, with the version and the condition that the rule then had."""

    version: int
    condition: str
    state: RuleState


async def rule_states(connection: Connection, patient_id: str) -> dict[str, KeptState]:
    """Rule id → what was kept of it, of one patient."""
    rows = await fetch_all(connection, SQL["rule_states"], {"patient_id": patient_id})
    return {
        rule_id: KeptState(version, condition, from_map(RuleState, state))
        for rule_id, version, condition, state in rows
    }


async def save_rule_state(connection: Connection, patient_id: str, rule: ThresholdRule, state: RuleState) -> None:
    """Keep the state of one rule of one patient, with its timer."""
    await connection.execute(
        SQL["save_rule_state"],
        {
            "patient_id": patient_id,
            "rule_id": rule.rule_id,
            "rule_version": rule.version,
            "condition": rule.condition,
            "state": Jsonb(to_map(state)),
            "due_at": None if state.deadline_ms is None else to_time(state.deadline_ms),
        },
    )


async def forget_rules(connection: Connection, patient_id: str, rule_ids: Sequence[str]) -> None:
    """Forget the states of rules that are no longer in the plan."""
    await connection.execute(SQL["forget_rule_states"], {"patient_id": patient_id, "rule_ids": list(rule_ids)})


async def due_patients(connection: Connection, now_ms: int) -> list[str]:
    """Patients with a rule whose timer has passed."""
    rows = await fetch_all(connection, SQL["due_patients"], {"now": to_time(now_ms)})
    return [row[0] for row in rows]


async def _records(connection: Connection, name: str, parameters: dict[str, Any]) -> list[AlertRecord]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(SQL[name], parameters)
        return [_record(row) for row in await cursor.fetchall()]


def _record(row: dict[str, Any]) -> AlertRecord:
    sources = {AlertSource(name): Word(*word) for name, word in row["sources"].items()}
    first = Raise(
        source=next(iter(sources)),
        patient_id=str(row["patient_id"]),
        hub_id=row["hub_id"],
        condition=row["condition"],
        kind=AlarmKind(row["kind"]),
        priority=Priority(row["priority"]),
        at_ms=to_ms(row["raised_at"]),
        onset_ms=to_ms(row["onset_at"]),
        heard_at_ms=to_ms(row["heard_at"]),
        metric=row["metric"] and Metric(row["metric"]),
        side=row["side"] and Side(row["side"]),
        value=row["value"],
        range_flag=row["range_flag"] and RangeFlag(row["range_flag"]),
        limit=row["limit_value"],
        rule_id=row["rule_id"],
        plan_version=row["plan_version"],
        episode=row["episode"] and str(row["episode"]),
        test=row["test"],
        device_id=row["device_id"],
    )
    return AlertRecord(
        alert_id=str(row["alert_id"]),
        first=first,
        version=row["version"],
        priority=Priority(row["priority"]),
        value=row["value"],
        range_flag=row["range_flag"] and RangeFlag(row["range_flag"]),
        sources=sources,
        cleared_at_ms=row["cleared_at"] and to_ms(row["cleared_at"]),
        acknowledged_at_ms=row["acknowledged_at"] and to_ms(row["acknowledged_at"]),
        acknowledged_by=row["acknowledged_by"] and str(row["acknowledged_by"]),
        acknowledged_name=row["acknowledged_name"],
        patient_says_well_at_ms=row["patient_says_well_at"] and to_ms(row["patient_says_well_at"]),
    )
