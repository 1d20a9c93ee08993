"""What of a message may be stored: a pure decision from subject and body."""

import hashlib
from dataclasses import dataclass

from bedside_profiles.errors import WireError
from bedside_profiles.wire.batch import Batch, decode_batch
from bedside_profiles.wire.topics import SEQUENCED, UpLane, parse_topic


@dataclass(frozen=True, slots=True)
class Admitted:
    """A batch of a hub's own lane; its bad rows are in `batch.rejected`.

    `sha256` names the body they came in, `heard_at_ms` is when the broker received it (UTC).
    """

    batch: Batch
    body: bytes
    sha256: str
    heard_at_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A body in which nothing can be named. It becomes a dead letter, and the hub is told its SHA-256."""

    hub_id: str
    lane: UpLane
    body: bytes
    sha256: str
    reason: str


def admit(subject: str, body: bytes, heard_at_ms: int) -> Admitted | Refused:
    """Decide on one message. The subject is the broker's word for who sent it; WireError if it is no hub's lane."""
    hub_id, lane = parse_topic(subject)
    if lane not in SEQUENCED:
        raise WireError(f"the lane {lane.value} carries no batches")
    lane = UpLane(lane.value)
    sha256 = hashlib.sha256(body).hexdigest()
    try:
        batch = decode_batch(body)
    except WireError as wrong:
        return Refused(hub_id, lane, body, sha256, wrong.reason)
    if batch.header.hub_id != hub_id or batch.header.lane is not lane:
        return Refused(hub_id, lane, body, sha256, "the header names another hub or lane than the topic")
    return Admitted(batch, body, sha256, heard_at_ms)
