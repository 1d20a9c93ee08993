"""What stands in the memory of an Omron cuff: its records and its clock.

A record has 14 bytes, or the same 14 and some more. In which order they stand is told by the model alone:
`sys-25 dia pulse year flags1 flags2` little-endian, or `dia sys-25 year pulse flags1 flags2` big-endian. flags1: hour
(5 bits), day (5), month (4), irregular pulse, movement; flags2: second (6), minute (6), cuff well wrapped, low battery,
position (2). A record of FF, of zeros, or with a pressure byte above E1 was never written.
"""

from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members
from bedside_profiles.numbers import sum8
from bedside_profiles.profile import Decoded, EncodeError
from bedside_profiles.readings import Metric, Modality, Quality

NAME = "bluetooth.omron_hem"

RECORD_BYTES = 14
_HIGHEST_PRESSURE_BYTE = 0xE1
_PRESSURE_OFFSET = 25
_CENTURY = 2000
_IRREGULAR, _MOVED = 1 << 14, 1 << 15
_WELL_WRAPPED, _LOW_BATTERY = 1 << 12, 1 << 13


@dataclass(frozen=True, slots=True)
class Layout:
    """How one family of models keeps its records: their order, their length, and where in the memory they may begin."""

    big_endian: bool
    record_bytes: int
    starts: tuple[int, ...]

    def holds_records(self, address: int, count: int) -> bool:
        """Whether a block of `count` bytes at that address is made of whole records."""
        size = self.record_bytes
        at_a_record = any(address >= start and (address - start) % size == 0 for start in self.starts)
        return at_a_record and count > 0 and count % size == 0


LITTLE_14 = Layout(False, 14, (0x2E8,))
LITTLE_16 = Layout(False, 16, (0x98, 0x1C4, 0x2E8, 0x80C))
BIG_14 = Layout(True, 14, (0x2AC, 0x2E8))


@dataclass(frozen=True, slots=True)
class OmronRecord:
    """One measurement: mmHg and beats a minute. `taken` is None when the cuff's clock was never set."""

    systolic: int
    diastolic: int
    pulse_bpm: int
    taken: datetime | None
    irregular: bool = False
    moved: bool = False
    well_wrapped: bool = True
    low_battery: bool = False

    @classmethod
    def from_bytes(cls, record: bytes, *, big_endian: bool) -> "OmronRecord | None":
        """A record, of which the first 14 bytes count; None for one that was never written. Raises `DecodeError`."""
        if len(record) < RECORD_BYTES:
            raise DecodeError(NAME, f"a record cut off after {len(record)} bytes", record)
        order = (1, 0, 3, 2) if big_endian else (0, 1, 2, 3)
        pressure, diastolic, pulse, year = (record[at] for at in order)
        if pressure > _HIGHEST_PRESSURE_BYTE or not any(record[:8]) or record[:8] == b"\xff" * 8:
            return None
        flags1, flags2 = (int.from_bytes(record[at : at + 2], "big" if big_endian else "little") for at in (4, 6))
        return cls(
            pressure + _PRESSURE_OFFSET,
            diastolic,
            pulse,
            _moment(record, year & 0x3F, flags1, flags2),
            irregular=bool(flags1 & _IRREGULAR),
            moved=bool(flags1 & _MOVED),
            well_wrapped=bool(flags2 & _WELL_WRAPPED),
            low_battery=bool(flags2 & _LOW_BATTERY),
        )

    def to_bytes(self, *, big_endian: bool) -> bytes:
        """The record's 14 bytes. Raises `EncodeError`."""
        flags1 = _IRREGULAR * self.irregular | _MOVED * self.moved
        flags2 = _WELL_WRAPPED * self.well_wrapped | _LOW_BATTERY * self.low_battery
        year = 0
        if self.taken is not None:
            taken = self.taken
            year = taken.year - _CENTURY
            flags1 |= taken.hour | taken.day << 5 | taken.month << 10
            flags2 |= taken.second | taken.minute << 6
        pressure = self.systolic - _PRESSURE_OFFSET
        if not (0 <= pressure <= _HIGHEST_PRESSURE_BYTE and 0 <= year <= 0x3F):
            raise EncodeError("a pressure or a year that the record has no room for")
        try:
            fields = (self.diastolic, pressure, year, self.pulse_bpm)
            if not big_endian:
                fields = (pressure, self.diastolic, self.pulse_bpm, year)
            order = "big" if big_endian else "little"
            flags = flags1.to_bytes(2, "big") + flags2.to_bytes(2, "big")
            if order == "little":
                flags = flags1.to_bytes(2, "little") + flags2.to_bytes(2, "little")
            return bytes(fields) + flags + bytes(RECORD_BYTES - 8)
        except ValueError as error:
            raise EncodeError(str(error)) from error

    def decoded(self, user: int | None = None) -> Decoded:
        """The measurement; `user` is whose part of the memory it stood in, where the cuff has several."""
        quality = [
            name
            for name, said in (
                (Quality.IRREGULAR_PULSE, self.irregular),
                (Quality.MOTION, self.moved),
                (Quality.CUFF_LOOSE, not self.well_wrapped),
                (Quality.LOW_BATTERY, self.low_battery),
            )
            if said
        ]
        if self.taken is None:
            quality.append(Quality.DEVICE_CLOCK_UNSET)
        members = Members(Modality.SPOT, quality=quality, device_time=self.taken, device_user=user)
        members.add_pressures(float(self.systolic), float(self.diastolic))
        members.add(Metric.PULSE_RATE, float(self.pulse_bpm))
        return members.decoded()


def _moment(record: bytes, year: int, flags1: int, flags2: int) -> datetime | None:
    hour, day, month = flags1 & 0x1F, flags1 >> 5 & 0x1F, flags1 >> 10 & 0x0F
    # The second counts up to 63 before the minute follows.
    second, minute = min(flags2 & 0x3F, 59), flags2 >> 6 & 0x3F
    if month == 0 or day == 0:
        return None
    try:
        return datetime(_CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone
    except ValueError as error:
        raise DecodeError(NAME, f"no such date: {error}", record) from error


def clock_of(block: bytes) -> datetime | None:
    """The cuff's clock, when these are the bytes that hold it with their sum; None when they are something else."""
    if len(block) == 16 and not any(block[4:8]) and sum8(block[:14]) == block[14] and block[15] == 0:
        year, month, day, hour, minute, second = block[8:14]
    elif len(block) == 10 and sum8(block[:8]) == block[9] and block[8] == 0:
        month, year, hour, day, second, minute = block[2:8]
    else:
        return None
    try:
        return datetime(_CENTURY + year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - no zone is said
    except ValueError:
        return None
