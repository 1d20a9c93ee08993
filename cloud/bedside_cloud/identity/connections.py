"""Hubs' live connections: cutting them, which the broker itself would not do, and hearing why it cut one."""

import json
import logging

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import BusError
from bedside_cloud.engines.broker import ACCOUNT
from bedside_cloud.identity.callout import RENEWAL_SUFFIX

DISCONNECTS = f"$SYS.ACCOUNT.{ACCOUNT}.DISCONNECT"
OVERSIZED = "Maximum Message Payload Exceeded"
"""The broker's word for a client that sent more than its limit."""

LOG = logging.getLogger(__name__)


def oversized_sender(event: bytes) -> str | None:
    """The hub that the broker cut for a message above its limit, by its notice of a disconnection; None otherwise."""
    notice = json.loads(event)
    client = notice["client"]
    if notice["reason"] != OVERSIZED or client.get("client_type") != "mqtt":
        return None
    user: str = client["user"]
    return user


class Connections:
    """Through the broker's system account, with a bus user that may do this alone."""

    def __init__(self, system: Bus) -> None:
        self._system = system

    async def cut(self, hub_id: str) -> None:
        """Disconnect the hub wherever it is connected, or is just being let in: the broker lists those too. A broker
        that does not answer has no connections either."""
        for client_id in (hub_id, hub_id + RENEWAL_SUFFIX):
            try:
                await self._cut(client_id)
            except BusError as cause:
                LOG.warning("cut_failed hub=%s cause=%s", hub_id, cause)

    async def listeners(self, subject: str) -> int:
        """How many of the services' connections listen on a subject. BusError when the broker does not answer."""
        question = json.dumps({"subscriptions": True, "account": ACCOUNT, "test": subject}).encode()
        reply = json.loads(await self._system.request_bytes("$SYS.REQ.SERVER.PING.SUBSZ", question))
        return int(reply["data"]["total"])

    async def _cut(self, client_id: str) -> None:
        question = json.dumps({"mqtt_client": client_id}).encode()
        reply = json.loads(await self._system.request_bytes("$SYS.REQ.SERVER.PING.CONNZ", question))
        server_id = reply["server"]["id"]
        for connection in reply.get("data", {}).get("connections", ()):
            body = json.dumps({"cid": connection["cid"]}).encode()
            await self._system.request_bytes(f"$SYS.REQ.SERVER.{server_id}.KICK", body)
            LOG.info("cut client=%s", client_id)
