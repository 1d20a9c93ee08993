"""A row of the store: readings that were committed together, or one other item, with the store of its birth.

A row explains itself (store, sequences, devices): one that is found on a page of a destroyed file can still be sent.
It begins with its kind, then 16 bytes of store id. Its sequences follow one another without a hole, so that a row is
found by the first of them. What stands on disk is this, sealed (`sealing.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bedside_agent.buffer.contents import Item
from bedside_agent.buffer.ranges import Range
from bedside_agent.buffer.rows import (
    pack_reading,
    pack_row,
    read_number,
    unpack_reading,
    unpack_row,
    write_number,
)
from bedside_agent.buffer.waves import pack_waveform, unpack_waveform
from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap, GapReason
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

READINGS = 3
ALARM = 4
EVENT = 5
GAP = 6
WAVEFORM = 7

MOST_BYTES = 820
"""Of one row's readings: two sealed rows fill a page of 2 KB, and damage to a row costs no more than this."""

# A place in this tuple is what stands on disk: append at the end.
REASONS = (GapReason.DISK_FULL, GapReason.STORE_CORRUPT, GapReason.REJECTED_BY_STORE, GapReason.LET_GO)

_STORE_BYTES = 16
_HEAD_BYTES = 1 + _STORE_BYTES


@dataclass(frozen=True, slots=True)
class Bundle:
    """A row's items, at least one, rising without a hole."""

    store_id: str
    items: tuple[Item, ...]

    @property
    def range(self) -> Range:
        """First and last sequence."""
        return span(self.items[0])[0], span(self.items[-1])[1]


def span(item: Item) -> Range:
    """The sequences that the item stands for."""
    return (item.first_seq, item.last_seq) if isinstance(item, Gap) else (item.seq, item.seq)


def about(lane: UpLane, key: int) -> bytes:
    """What a sealed row is bound to: it opens in no other place."""
    return lane.value.encode() + key.to_bytes(8, "big")


def pack_items(store_id: str, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
    """First sequence and bytes of each row that `items` (rising) need."""
    store = bytes.fromhex(store_id)
    run = _Run(store)
    for item in items:
        if isinstance(item, Reading):
            if run.is_full_for(item):
                yield run.close()
            run.add(item)
            continue
        if run.is_begun:
            yield run.close()
        yield span(item)[0], _pack_one(store, item)
    if run.is_begun:
        yield run.close()


def unpack(seq: int, plain: bytes) -> Bundle:
    """The row whose first sequence is `seq`; MalformedError when the bytes are not one."""
    try:
        store_id = plain[1:_HEAD_BYTES].hex()
        items = _unpack(seq, plain[0], plain[_HEAD_BYTES:])
    except (IndexError, ValueError, UnicodeDecodeError) as cause:
        raise MalformedError(f"row {seq}", "the stored bytes are damaged") from cause
    return Bundle(store_id, items)


def store_of(plain: bytes) -> str:
    """The store in which a row was born, without a look at its items."""
    return plain[1:_HEAD_BYTES].hex()


def reach(seq: int, plain: bytes) -> Range:
    """The sequences of a row without a look at its items; MalformedError when the bytes are not one."""
    try:
        body = plain[_HEAD_BYTES:]
        if plain[0] == GAP:
            first, at = read_number(body, 0)
            return first, first + read_number(body, at)[0]
        return seq, seq + (_count(body) if plain[0] == READINGS else 1) - 1
    except IndexError as cause:
        raise MalformedError(f"row {seq}", "the stored bytes are damaged") from cause


class _Run:
    """Readings that go into one row."""

    def __init__(self, store: bytes) -> None:
        self._store = store
        self._first = self._next = 0
        self._texts: dict[str, int] = {}
        self._body = bytearray()

    @property
    def is_begun(self) -> bool:
        return self._first > 0

    def is_full_for(self, reading: Reading) -> bool:
        return self.is_begun and (reading.seq != self._next or len(self._body) >= MOST_BYTES)

    def add(self, reading: Reading) -> None:
        if not self.is_begun:
            self._first = reading.seq
        packed = pack_reading(reading, lambda text: self._texts.setdefault(text, len(self._texts)))
        write_number(self._body, len(packed))
        self._body += packed
        self._next = reading.seq + 1

    def close(self) -> tuple[int, bytes]:
        head = bytearray([READINGS]) + self._store
        write_number(head, self._first)
        write_number(head, len(self._texts))
        for text in self._texts:
            encoded = text.encode()
            write_number(head, len(encoded))
            head += encoded
        row = self._first, bytes(head + self._body)
        self._first, self._texts, self._body = 0, {}, bytearray()
        return row


def _pack_one(store: bytes, item: Alarm | Event | Waveform | Gap) -> bytes:
    if isinstance(item, Gap):
        body = bytearray([GAP]) + store
        times = (item.first_taken_at_ms or 0, item.last_taken_at_ms or 0)
        reason = REASONS.index(item.reason)
        for number in (item.first_seq, item.last_seq - item.first_seq, item.count, reason, *times):
            write_number(body, number)
        return bytes(body)
    if isinstance(item, Waveform):
        return bytes([WAVEFORM]) + store + pack_waveform(item)
    return bytes([ALARM if isinstance(item, Alarm) else EVENT]) + store + pack_row(item)


def _unpack(seq: int, kind: int, body: bytes) -> tuple[Item, ...]:
    if kind == READINGS:
        return _unpack_readings(seq, body)
    if kind == GAP:
        numbers, at = [], 0
        for _ in range(6):
            number, at = read_number(body, at)
            numbers.append(number)
        first, more, count, reason, first_ms, last_ms = numbers
        if first != seq or at != len(body):
            raise ValueError("another gap")
        return (Gap(first, first + more, count, REASONS[reason], first_ms or None, last_ms or None),)
    if kind == ALARM:
        return (unpack_row(Alarm, seq, body),)
    if kind == EVENT:
        return (unpack_row(Event, seq, body),)
    if kind == WAVEFORM:
        return (unpack_waveform(seq, body),)
    raise ValueError("another kind of row")


def _count(body: bytes) -> int:
    """How many readings there are."""
    at = read_number(body, 0)[1]
    texts, at = read_number(body, at)
    for _ in range(texts):
        length, at = read_number(body, at)
        at += length
    readings = 0
    while at < len(body):
        length, at = read_number(body, at)
        at += length
        readings += 1
    return readings


def _unpack_readings(seq: int, body: bytes) -> tuple[Reading, ...]:
    first, at = read_number(body, 0)
    if first != seq:
        raise ValueError("another row")
    number, at = read_number(body, at)
    texts: dict[int, str] = {}
    for place in range(number):
        length, at = read_number(body, at)
        texts[place] = body[at : at + length].decode()
        at += length
    readings: list[Reading] = []
    while at < len(body):
        length, at = read_number(body, at)
        readings.append(unpack_reading(seq + len(readings), body[at : at + length], texts))
        at += length
    if not readings or at != len(body):
        raise ValueError("another length")
    return tuple(readings)
