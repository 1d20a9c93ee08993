"""A step in an alert's life, worked out and written. The caller holds the patient's lock."""

from bedside_cloud.alerting import lifecycle, store
from bedside_cloud.alerting.lifecycle import AlertRecord, Raise
from bedside_cloud.contracts.alerts import AlertSource
from bedside_cloud.database.pool import Connection

Changed = list[AlertRecord]
"""What a transaction changed, in order; told to screens and hubs after the commit."""


async def raise_alert(connection: Connection, raise_: Raise) -> AlertRecord:
    """The alert that the raise belongs to, or a new one."""
    present = await store.alert_around(connection, raise_)
    record = lifecycle.raised(present, raise_)
    await store.save_alert(connection, record, "raised", source=raise_.source)
    return record


async def clear_alert(
    connection: Connection,
    present: AlertRecord | None,
    source: AlertSource,
    at_ms: int,
    episode: str | None = None,
) -> Changed:
    """The alert after a source found the condition gone; nothing when that source does not hold it."""
    if present is None:
        return []
    record = lifecycle.cleared(present, source, at_ms, episode)
    if record is present:
        return []
    await store.save_alert(connection, record, "cleared", source=source)
    return [record]
