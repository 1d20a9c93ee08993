"""Which stored records of a device the hub has kept already: a memory that is read again brings them again.

A record is known by its device, its own time or, without one, its number, by its user and its values. A stream that
says neither time nor number is never taken for a repetition. What is known is written in the same transaction as the
readings, so that a hub that dies in between neither loses a record nor keeps it twice.

Records with a number and no time are told apart only from those since the last remembered position: what came before
is not asked for again, and a device whose memory was emptied counts anew.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence

from bedside_profiles.readings import Measurement, Modality, Quality

MOST_RECORDS = 4096
"""A device's, the newest; twice what the largest memory of a home device holds."""

_PAGE_RECORDS = 64
"""A new record writes one page of so many: a few hundred bytes."""

_PAGES = MOST_RECORDS // _PAGE_RECORDS
_MARK_BYTES = 8
_PREFIX, _POSITION = "seen.", "position."

State = Mapping[str, bytes]


class Seen:
    """All devices' records. `stored` are the store's named values at the start; what changes is given back to be put
    there."""

    def __init__(self, stored: State) -> None:
        self._stored = stored
        self._devices: dict[str, _Records] = {}

    def position(self, device_id: str) -> str | None:
        """What was last remembered of the device."""
        value = self._stored.get(_POSITION + device_id)
        return None if value is None else value.decode()

    def remembered(self, device_id: str, position: str) -> dict[str, bytes | None]:
        """What to put, so that `position` is remembered."""
        return {_POSITION + device_id: position.encode()}

    def kept(self, device_id: str, measurements: Sequence[Measurement]) -> dict[str, bytes | None] | None:
        """What to put together with these members of one record; None when they are known already: drop them."""
        mark = self._mark(device_id, measurements)
        if mark is None:
            return {}
        records = self._devices.get(device_id)
        if records is None:
            records = self._devices[device_id] = _Records(device_id, self._stored)
        return records.add(mark)

    def _mark(self, device_id: str, measurements: Sequence[Measurement]) -> bytes | None:
        """None for what cannot be told from a new reading."""
        first = measurements[0]
        if first.record is None and first.modality is not Modality.SPOT:
            return None
        if first.device_time is not None and Quality.DEVICE_CLOCK_UNSET not in first.quality:
            when = first.device_time
        elif first.record is not None:
            when = f"{first.record} after {self.position(device_id)}"
        else:
            return None
        members = ((one.metric.value, one.value, one.range_flag and one.range_flag.value) for one in measurements)
        said = repr((when, first.device_user, sorted(members, key=repr)))
        return hashlib.blake2b(said.encode(), digest_size=_MARK_BYTES).digest()


class _Records:
    """One device's: a ring of pages, of which the one that is written to carries the highest number."""

    def __init__(self, device_id: str, stored: State) -> None:
        self._prefix = f"{_PREFIX}{device_id}."
        self._pages: dict[int, list[bytes]] = {}
        self._numbers: dict[int, int] = {}
        for place in range(_PAGES):
            value = stored.get(f"{self._prefix}{place}")
            if value is not None and len(value) % _MARK_BYTES == 0 and value:
                (self._numbers[place],) = struct.unpack(">Q", value[:_MARK_BYTES])
                self._pages[place] = [value[at : at + _MARK_BYTES] for at in range(8, len(value), _MARK_BYTES)]
        self._known = {mark for page in self._pages.values() for mark in page}
        self._newest = max(self._numbers, key=lambda place: self._numbers[place], default=0)

    def add(self, mark: bytes) -> dict[str, bytes | None] | None:
        if mark in self._known:
            return None
        if len(self._pages.get(self._newest, ())) >= _PAGE_RECORDS:
            number = self._numbers[self._newest] + 1
            self._newest = number % _PAGES
            self._known.difference_update(self._pages.get(self._newest, ()))
            self._pages[self._newest], self._numbers[self._newest] = [], number
        page = self._pages.setdefault(self._newest, [])
        number = self._numbers.setdefault(self._newest, self._newest)
        page.append(mark)
        self._known.add(mark)
        return {f"{self._prefix}{self._newest}": struct.pack(">Q", number) + b"".join(page)}
