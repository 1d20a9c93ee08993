"""Items of one lane of one store as a batch body within a size. Pure."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Damaged, Item
from bedside_agent.buffer.ranges import Range, Ranges, normalise, of_sequences
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.events import Event, Gap, GapReason
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

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
            return Packed(body, normalise(_span(item) for item in part), of_sequences(given_up))
        if rows == 1:
            given_up.add(_span(part[0])[0])
        elif body is None:
            rows //= 2
        else:
            rows = max(1, min(rows - 1, rows * most_bytes // len(body)))


def _encode(
    hub_id: str, store_id: str, lane: UpLane, items: Sequence[Item | Damaged], is_hopeless: Callable[[int], bool]
) -> bytes | None:
    """The body, or None when some item cannot stand in one or the body is above the wire's limit."""
    gaps = [item if isinstance(item, Gap) else _gap(item) for item in items if _is_gap(item, is_hopeless)]
    whole = [item for item in items if not _is_gap(item, is_hopeless)]
    ends = [seq for item in items for seq in _span(item)]
    batch = Batch(
        header_for(hub_id, store_id, lane, ends),
        readings=tuple([item for item in whole if isinstance(item, Reading)]),
        alarms=tuple([item for item in whole if isinstance(item, Alarm)]),
        events=tuple([item for item in whole if isinstance(item, Event)]),
        gaps=tuple(gaps),
        waveforms=tuple([item for item in whole if isinstance(item, Waveform)]),
    )
    try:
        return encode_batch(batch)
    except _unpackable:
        return None


def _is_gap(item: Item | Damaged, is_hopeless: Callable[[int], bool]) -> bool:
    return isinstance(item, Gap | Damaged) or is_hopeless(item.seq)


def _gap(item: Reading | Alarm | Event | Waveform | Damaged) -> Gap:
    reason = GapReason.STORE_CORRUPT if isinstance(item, Damaged) else GapReason.REJECTED_BY_STORE
    return Gap(item.seq, item.seq, 1, reason)


def _span(item: Item | Damaged) -> Range:
    return (item.seq, item.seq) if isinstance(item, Damaged) else span(item)
