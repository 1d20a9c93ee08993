"""Items of one lane of one store as a batch body within a size. Pure."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bedside_agent.buffer.database import Damaged, Item
from bedside_agent.buffer.ranges import Ranges, of_sequences
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.events import Event, Gap, GapReason
from bedside_profiles.wire.topics import UpLane

_unpackable = (ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Packed:
    """A body and what is in it; `given_up` are items that no body can carry and that went as gaps."""

    body: bytes
    sequences: Ranges
    given_up: Ranges

    @property
    def sha256(self) -> str:
        """The name by which the cloud speaks of a body that it cannot read."""
        return hashlib.sha256(self.body).hexdigest()


def pack(
    hub_id: str,
    store_id: str,
    lane: UpLane,
    items: Sequence[Item | Damaged],
    is_hopeless: Callable[[int], bool],
    most_bytes: int,
) -> Packed:
    """As many of `items` (rising, at least one) as fit into `most_bytes`; a single larger one goes alone."""
    rows = len(items)
    given_up: set[int] = set()
    while True:
        part = items[:rows]
        body = _encode(hub_id, store_id, lane, part, lambda seq: seq in given_up or is_hopeless(seq))
        if body is not None and (len(body) <= most_bytes or rows == 1):
            return Packed(body, of_sequences(item.seq for item in part), of_sequences(given_up))
        if rows == 1:
            given_up.add(part[0].seq)
        elif body is None:
            rows //= 2
        else:
            rows = max(1, min(rows - 1, rows * most_bytes // len(body)))


def _encode(
    hub_id: str, store_id: str, lane: UpLane, items: Sequence[Item | Damaged], is_hopeless: Callable[[int], bool]
) -> bytes | None:
    """The body, or None when some item cannot stand in one or the body is above the wire's limit."""
    gaps = [
        Gap(item.seq, item.seq, 1, _reason(item))
        for item in items
        if isinstance(item, Damaged) or is_hopeless(item.seq)
    ]
    replaced = {gap.first_seq for gap in gaps}
    whole = [item for item in items if item.seq not in replaced]
    batch = Batch(
        header_for(hub_id, store_id, lane, [item.seq for item in items]),
        readings=tuple(item for item in whole if isinstance(item, Reading)),
        alarms=tuple(item for item in whole if isinstance(item, Alarm)),
        events=tuple(item for item in whole if isinstance(item, Event)),
        gaps=tuple(gaps),
    )
    try:
        return encode_batch(batch)
    except _unpackable:
        return None


def _reason(item: Item | Damaged) -> GapReason:
    return GapReason.STORE_CORRUPT if isinstance(item, Damaged) else GapReason.REJECTED_BY_STORE
