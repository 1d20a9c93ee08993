"""What the patient said at home of alarms that sound: shown with the alert, and it changes nothing else of it."""

from dataclasses import replace

from bedside_cloud.alerting import store
from bedside_cloud.alerting.lifecycle import AlertRecord
from bedside_cloud.alerting.saving import Changed
from bedside_cloud.database.pool import Connection
from bedside_profiles.wire.alarm import AlarmKind


async def take_word(connection: Connection, hub_id: str, said_at_ms: int, now_ms: int) -> Changed:
    """Write "I am all right" to the alerts about the patient of this hub that were present then and still are."""
    at_ms = min(said_at_ms, now_ms)
    found = [one for one in await store.alerts_of_hub(connection, hub_id, now_ms) if _concerns(one, at_ms)]
    changed: Changed = []
    for patient_id in sorted({one.first.patient_id for one in found}):
        await store.lock_patient(connection, patient_id)
        for one in found:
            present = await store.alert_by_id(connection, one.alert_id) if one.first.patient_id == patient_id else None
            if present is None or not _concerns(present, at_ms):
                continue
            record = replace(present, version=present.version + 1, patient_says_well_at_ms=at_ms)
            await store.save_alert(connection, record, "patient_says_well")
            changed.append(record)
    return changed


def _concerns(record: AlertRecord, at_ms: int) -> bool:
    is_news = record.patient_says_well_at_ms is None or record.patient_says_well_at_ms < at_ms
    is_present = record.active and record.first.onset_ms <= at_ms
    return is_present and is_news and not record.first.test and record.first.kind is AlarmKind.PHYSIOLOGICAL
