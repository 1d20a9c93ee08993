"""After the commit: screens hear of every change, the hub hears what became of its alarm."""

from collections.abc import Sequence

from bedside_cloud.alerting.lifecycle import AlertRecord
from bedside_cloud.alerting.store import to_contract
from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.alerts import CHANGED
from bedside_cloud.database.times import utc_now_ms
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import encode
from bedside_profiles.wire.topics import DownLane, subject


class Announcer:
    """Fan-out only: what a screen or hub misses it learns when it asks again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def announce(self, changed: Sequence[AlertRecord]) -> None:
        """Tell of each change, oldest first."""
        for record in changed:
            await self._bus.publish(CHANGED, to_contract(record))
            await self._tell_hub(record)

    async def remind(self, records: Sequence[AlertRecord]) -> None:
        """Tell the hub alone, of what has not changed now."""
        for record in records:
            await self._tell_hub(record)

    async def _tell_hub(self, record: AlertRecord) -> None:
        notice = AlertNotice(
            schema=SCHEMA_VERSION,
            hub_id=record.first.hub_id,
            alert_id=record.alert_id,
            condition=record.first.condition,
            stage=stage(record),
            version=record.version,
            at_ms=utc_now_ms(),
            episode=record.first.episode,
            by=record.acknowledged_name or "",
            priority=record.priority,
        )
        await self._bus.publish_bytes(subject(record.first.hub_id, DownLane.ALERTS), encode(notice))


def stage(record: AlertRecord) -> AlertStage:
    """The furthest fact that the hub should show."""
    if not record.active:
        return AlertStage.CLEARED
    if record.acknowledged_at_ms is not None:
        return AlertStage.ACKNOWLEDGED
    return AlertStage.STORED
