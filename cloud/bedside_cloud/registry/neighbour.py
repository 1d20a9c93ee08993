"""What registry asks of identity, which alone decides who is let in."""

from datetime import datetime

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.identity_administration import (
    HUB_ACCESS,
    HUB_WIPED,
    Access,
    HubAccessList,
    HubWiped,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.database.times import to_time


class Neighbour:
    """BusError when identity does not answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def wiped(self, hub_id: str) -> None:
        """The hub has said that it is wiped. Answered after identity's commit."""
        await self._bus.request(HUB_WIPED, HubWiped(hub_id=hub_id), Empty)

    async def active_since(self, hub_id: str) -> datetime | None:
        """When the hub enrolled last; None when it is not active."""
        for entry in (await self._bus.request(HUB_ACCESS, Empty(), HubAccessList)).hubs:
            if entry.hub_id == hub_id and entry.access is Access.ACTIVE:
                return to_time(entry.enrolled_at_ms)
        return None
