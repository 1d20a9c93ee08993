"""What goes, and when. Pure.

While there is room: items that a receipt covers and that are old enough. Age is the hub's own running time, so that a
wrong wall clock can neither delete too early nor keep for ever; time during which the hub was off does not count.

When the disk is full, class by class until there is room: what the cloud holds goes first, then the oldest waveforms,
then continuous readings are thinned, oldest first, then the oldest readings go, then the oldest events. Alarms never
go. Each item that goes without a receipt leaves a gap that is
delivered in its place.

Thinning keeps, of each device, metric and minute, the lowest reading, the highest, and the one nearest to the mean:
three readings that were really taken, under their own sequences, and not three numbers that no device ever said. Single
checks and readings without a number (above or below the device's range) are never thinned.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Item
from bedside_agent.buffer.ranges import Ranges, intersect, normalise
from bedside_profiles.readings import Modality, Reading
from bedside_profiles.wire.events import Event, Gap, GapReason
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

EXPENDABLE = (UpLane.WAVEFORMS, UpLane.READINGS, UpLane.EVENTS)
"""The lanes from which something may go, first to last. Alarms are not among them."""

LOW_BYTES = 2**20
ENOUGH_BYTES = 2 * 2**20
"""Below the first, room is made until there is the second: minutes of readings, and no work at each commit."""

FRESH_MS = 600_000
"""What came in the last ten minutes is not thinned: it is what a clinician looks at when the link comes back."""

MINUTE_MS = 60_000

KEEP_MS = 72 * 3_600_000
"""A cloud that is restored from last night's backup finds all of yesterday still on the hub."""

REMEMBER_MS = 30 * 24 * 3_600_000
MOST_REMEMBERED = 100
"""For how long, and of how many emptied stores, the hub still knows what they had: when a database is restored from an
older backup than it has kept readings for, what cannot come back is at least counted."""

MARK_EVERY_MS = 600_000
SLICE = 2_000
"""Rows in one DELETE: an alarm that is to be committed never waits for a longer one."""


@dataclass(frozen=True, slots=True)
class Age:
    """How old one lane of a store is: (newest sequence, running time) pairs, and when the next store was opened."""

    marks: Sequence[tuple[int, int]]
    closed_hub_ms: int | None


def deletable(settled: Ranges, last: int, age: Age, now_hub_ms: int, keep_ms: int = KEEP_MS) -> Ranges:
    """The sequences that may go at `now_hub_ms`."""
    before = now_hub_ms - keep_ms
    if age.closed_hub_ms is not None and age.closed_hub_ms <= before:
        newest = last
    else:
        newest = max((seq for seq, hub_ms in age.marks if hub_ms <= before), default=0)
    return intersect(settled, normalise([(1, newest)]))


def slices(ranges: Ranges, rows: int = SLICE) -> list[tuple[int, int]]:
    """The same sequences in pieces of at most `rows`."""
    return [(at, min(at + rows - 1, last)) for first, last in ranges for at in range(first, last + 1, rows)]


def is_mark_due(marked_hub_ms: int | None, now_hub_ms: int) -> bool:
    """Whether to write down how old a lane's newest item is; a lane without a mark is due at once."""
    return marked_hub_ms is None or now_hub_ms - marked_hub_ms >= MARK_EVERY_MS


def thin(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Those of `readings` that stay, in their order."""
    minutes: dict[tuple[str, str, str, int], list[Reading]] = defaultdict(list)
    stay = set[int]()
    for one in readings:
        if one.modality is Modality.CONTINUOUS and one.value is not None:
            minutes[one.device_id, one.metric.value, one.boot_id, one.monotonic_ms // MINUTE_MS].append(one)
        else:
            stay.add(one.seq)
    for minute in minutes.values():
        values = [(_value(one), one.seq) for one in minute]
        mean = sum(value for value, _ in values) / len(values)
        stay |= {min(values)[1], max(values)[1], min((abs(value - mean), seq) for value, seq in values)[1]}
    return tuple([one for one in readings if one.seq in stay])


def is_fresh(item: Item, boot_id: str, monotonic_ms: int) -> bool:
    """Whether it is a reading of the present boot's last minutes."""
    return isinstance(item, Reading) and item.boot_id == boot_id and monotonic_ms - item.monotonic_ms < FRESH_MS


def gap_for(item: Item) -> Item:
    """What is left of a reading, an event or a waveform that goes; alarms and gaps stay as they are."""
    if isinstance(item, Reading | Waveform):
        return Gap(item.seq, item.seq, 1, GapReason.DISK_FULL, item.taken_at_ms, item.taken_at_ms)
    if isinstance(item, Event):
        return Gap(item.seq, item.seq, 1, GapReason.DISK_FULL, item.at_ms, item.at_ms)
    return item


def joined(items: Iterable[Item]) -> tuple[Item, ...]:
    """The same items (rising) with gaps that touch and have one reason made one: `count` of it is all its sequences."""
    found: list[Item] = []
    for item in items:
        before = found[-1] if found else None
        if isinstance(item, Gap) and isinstance(before, Gap) and _touch(before, item):
            found[-1] = replace(
                before,
                last_seq=item.last_seq,
                count=before.count + item.count,
                first_taken_at_ms=_least(before.first_taken_at_ms, item.first_taken_at_ms),
                last_taken_at_ms=_most(before.last_taken_at_ms, item.last_taken_at_ms),
            )
        else:
            found.append(item)
    return tuple(found)


def unsettled(items: Iterable[Item], settled: Ranges) -> tuple[Item, ...]:
    """Those of `items` that no receipt covers whole."""
    return tuple([item for item in items if intersect((span(item),), settled) != (span(item),)])


def _value(reading: Reading) -> float:
    assert reading.value is not None  # noqa: S101 - the caller has looked
    return reading.value


def _touch(before: Gap, after: Gap) -> bool:
    return before.last_seq + 1 == after.first_seq and before.reason is after.reason


def _least(one: int | None, other: int | None) -> int | None:
    return min((ms for ms in (one, other) if ms is not None), default=None)


def _most(one: int | None, other: int | None) -> int | None:
    return max((ms for ms in (one, other) if ms is not None), default=None)
