"""The last word of a hub that was wiped: said with an identity that is in memory alone by then.

It is an event as any other, of a store that holds nothing else, and a receipt says that the cloud has it.
"""

import asyncio
import secrets
import ssl
from dataclasses import dataclass

from bedside_agent.clock import Instant
from bedside_agent.uplink.connection import Connection, ConnectionFailedError, Message, connected
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.route import Route
from bedside_profiles.errors import WireError
from bedside_profiles.wire.batch import Batch, Header, encode_batch
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import DownLane, UpLane, topic

WIPED = "wiped"
ANSWER_SECONDS = 10.0
"""How long the cloud's receipt is waited for; it takes milliseconds when nothing is in its way."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """Made before the wipe: the context has read the key, which is gone from the disk when it is used."""

    hub_id: str
    broker_host: str
    broker_port: int
    tls: ssl.SSLContext

    @classmethod
    def prepared(cls, hub_id: str, broker_host: str, broker_port: int, identity: Identity) -> "Farewell":
        """IdentityError when the hub has no identity to say it with."""
        return cls(hub_id, broker_host, broker_port, identity.tls_context())

    async def say(self, now: Instant) -> bool:
        """Whether the cloud has confirmed that it knows."""
        store_id = secrets.token_hex(16)
        event = Event(1, WIPED, now.utc_ms, now.boot_id, now.monotonic_ms)
        header = Header(SCHEMA_VERSION, self.hub_id, store_id, UpLane.EVENTS, 1, 1)
        body = encode_batch(Batch(header, events=(event,)))
        route = Route(self.broker_host, self.broker_port)
        receipts = topic(self.hub_id, DownLane.RECEIPTS)
        try:
            async with connected(route, self.tls, self.hub_id, will=None, subscribe=(receipts,)) as connection:
                await connection.publish(Message(topic(self.hub_id, UpLane.EVENTS), body))
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await _is_stored(connection, store_id)
        except (ConnectionFailedError, TimeoutError):
            return False


async def _is_stored(connection: Connection, store_id: str) -> bool:
    async for message in connection.messages():
        try:
            receipt = decode(Receipt, message.body)
        except WireError:
            continue
        if receipt.store_id == store_id and receipt.stored:
            return True
    return False
