"""Rows of schema 1 (one reading a row, not sealed, device and boot in a table of names) as rows of today. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from bedside_agent.buffer.bundles import pack_items
from bedside_agent.buffer.contents import STORE_STEP, Item
from bedside_agent.buffer.rows import unpack_reading, unpack_row
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap, GapReason
from bedside_profiles.wire.topics import UpLane


def convert(
    lane: UpLane, rows: Iterable[tuple[int, bytes]], stores: Mapping[int, str], names: Mapping[int, str]
) -> Iterator[tuple[int, bytes]]:
    """Key and bytes, not yet sealed, of the rows that hold what `rows` (rising, of one store) held.

    A row that cannot be read becomes a gap: the cloud hears of it.
    """
    items: list[Item] = []
    number = 0
    for key, payload in rows:
        number, seq = divmod(key, STORE_STEP)
        try:
            items.append(_read(lane, seq, payload, names))
        except MalformedError:
            items.append(Gap(seq, seq, 1, GapReason.STORE_CORRUPT))
    for seq, plain in pack_items(stores[number], items) if items else ():
        yield number * STORE_STEP + seq, plain


def _read(lane: UpLane, seq: int, payload: bytes, names: Mapping[int, str]) -> Item:
    if lane is UpLane.READINGS:
        return unpack_reading(seq, payload, names)
    return unpack_row(Alarm, seq, payload) if lane is UpLane.ALARMS else unpack_row(Event, seq, payload)
