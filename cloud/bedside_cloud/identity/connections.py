"""Cutting a hub's live connections: the broker itself would let them be until they end."""

import json
import logging

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import BusError
from bedside_cloud.identity.callout import RENEWAL_SUFFIX

LOG = logging.getLogger(__name__)


class Connections:
    """Through the broker's system account, with a bus user that may do this alone."""

    def __init__(self, system: Bus) -> None:
        self._system = system

    async def cut(self, hub_id: str) -> None:
        """Disconnect the hub wherever it is connected. A broker that does not answer has no connections either."""
        for client_id in (hub_id, hub_id + RENEWAL_SUFFIX):
            try:
                await self._cut(client_id)
            except BusError as cause:
                LOG.warning("cut_failed hub=%s cause=%s", hub_id, cause)

    async def _cut(self, client_id: str) -> None:
        question = json.dumps({"mqtt_client": client_id}).encode()
        reply = json.loads(await self._system.request_bytes("$SYS.REQ.SERVER.PING.CONNZ", question))
        server_id = reply["server"]["id"]
        for connection in reply.get("data", {}).get("connections", ()):
            body = json.dumps({"cid": connection["cid"]}).encode()
            await self._system.request_bytes(f"$SYS.REQ.SERVER.{server_id}.KICK", body)
            LOG.info("cut client=%s", client_id)
