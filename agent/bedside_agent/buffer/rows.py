"""An item as bytes in the store; how items make a row is in `bundles.py`.

A reading is packed (about 20 bytes: what decides how long an SD card lives), alarms and events are JSON (they are few).
The first byte is the format: a later one can be told apart row by row.
"""

import json
import struct
from collections.abc import Callable, Mapping
from typing import TypeVar

from bedside_profiles.errors import MalformedError
from bedside_profiles.readings import Attribution, ClockQuality, Metric, Modality, Quality, RangeFlag, Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.fields import from_map, to_map

Row = TypeVar("Row", Alarm, Event)

PACKED = 1
JSON = 2

# A place in these tuples is what stands on disk: append at the end, never sort, never remove.
METRICS = (
    Metric.SPO2,
    Metric.PULSE_RATE,
    Metric.HEART_RATE,
    Metric.RR_INTERVAL,
    Metric.PERFUSION_INDEX,
    Metric.SYSTOLIC_PRESSURE,
    Metric.DIASTOLIC_PRESSURE,
    Metric.MEAN_PRESSURE,
    Metric.CUFF_PRESSURE,
    Metric.BODY_TEMPERATURE,
    Metric.RESPIRATORY_RATE,
    Metric.BODY_WEIGHT,
    Metric.GLUCOSE,
    Metric.BATTERY_LEVEL,
    Metric.GLUCOSE_TREND,
    Metric.KETONE,
    Metric.BODY_FAT,
    Metric.BODY_WATER,
    Metric.MUSCLE_SHARE,
    Metric.SOFT_LEAN_MASS,
    Metric.BODY_MASS_INDEX,
    Metric.BODY_HEIGHT,
    Metric.BASAL_METABOLISM,
    Metric.IMPEDANCE,
    Metric.CARBOXYHAEMOGLOBIN,
    Metric.METHAEMOGLOBIN,
    Metric.FEV1,
    Metric.FVC,
    Metric.PEAK_FLOW,
)
QUALITIES = (
    Quality.MOTION,
    Quality.WEAK_SIGNAL,
    Quality.IRREGULAR_PULSE,
    Quality.CUFF_LOOSE,
    Quality.POSITION,
    Quality.RATE_ABOVE_RANGE,
    Quality.RATE_BELOW_RANGE,
    Quality.QUESTIONABLE,
    Quality.ARTIFACT,
    Quality.LOW_BATTERY,
    Quality.NO_CONTACT,
    Quality.DEVICE_CLOCK_UNSET,
)
MODALITIES = (Modality.CONTINUOUS, Modality.SPOT)
CLOCK_QUALITIES = (ClockQuality.SYNCED, ClockQuality.UNSYNCED, ClockQuality.RESOLVED, ClockQuality.ESTIMATED)
ATTRIBUTIONS = (Attribution.ASSIGNED, Attribution.QUARANTINED, Attribution.CONFIRMED)
RANGE_FLAGS = (None, RangeFlag.ABOVE, RangeFlag.BELOW)

_HAS_HUNDREDTHS = 1
_HAS_DOUBLE = 2
_HAS_QUALITY = 4
_HAS_DEVICE_TIME = 8
_HAS_DEVICE_USER = 16
_HAS_GROUP = 32

_HEAD = struct.Struct(">BBBB")
_DOUBLE = struct.Struct(">d")
_HUNDREDTHS_LIMIT = 2**40


def pack_reading(reading: Reading, number_of: Callable[[str], int]) -> bytes:
    """The reading without its sequence; `number_of` gives the number under which a text is interned."""
    has = 0
    tail = bytearray()
    if reading.value is not None:
        hundredths = round(reading.value * 100) if abs(reading.value) < _HUNDREDTHS_LIMIT else None
        if hundredths is not None and hundredths / 100 == reading.value:
            has |= _HAS_HUNDREDTHS
            write_signed(tail, hundredths)
        else:
            has |= _HAS_DOUBLE
            tail += _DOUBLE.pack(reading.value)
    if reading.quality:
        has |= _HAS_QUALITY
        write_number(tail, sum(1 << QUALITIES.index(quality) for quality in reading.quality))
    if reading.device_time is not None:
        has |= _HAS_DEVICE_TIME
        text = reading.device_time.encode()
        write_number(tail, len(text))
        tail += text
    if reading.device_user is not None:
        has |= _HAS_DEVICE_USER
        write_signed(tail, reading.device_user)
    if reading.group is not None:
        has |= _HAS_GROUP
        write_signed(tail, reading.seq - reading.group)
    # Its second bit came later than its neighbours.
    clock = CLOCK_QUALITIES.index(reading.clock_quality)
    small = (
        MODALITIES.index(reading.modality)
        | (clock & 1) << 1
        | (clock >> 1) << 6
        | ATTRIBUTIONS.index(reading.attribution) << 2
        | RANGE_FLAGS.index(reading.range_flag) << 4
    )
    body = bytearray(_HEAD.pack(PACKED, METRICS.index(reading.metric), small, has))
    write_number(body, number_of(reading.device_id))
    write_number(body, number_of(reading.boot_id))
    write_number(body, reading.taken_at_ms)
    write_number(body, reading.monotonic_ms)
    return bytes(body + tail)


def unpack_reading(seq: int, payload: bytes, names: Mapping[int, str]) -> Reading:
    """The reading in `payload`; MalformedError when the bytes are not one."""
    try:
        return _unpack_reading(seq, payload, names)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError, ValueError) as cause:
        raise MalformedError(f"reading {seq}", "the stored bytes are damaged") from cause


def _unpack_reading(seq: int, payload: bytes, names: Mapping[int, str]) -> Reading:
    form, metric, small, has = _HEAD.unpack_from(payload)
    if form != PACKED:
        raise ValueError("another format")
    device, at = read_number(payload, _HEAD.size)
    boot, at = read_number(payload, at)
    taken_at_ms, at = read_number(payload, at)
    monotonic_ms, at = read_number(payload, at)
    value: float | None = None
    quality: tuple[Quality, ...] = ()
    device_time: str | None = None
    device_user: int | None = None
    group: int | None = None
    if has & _HAS_HUNDREDTHS:
        hundredths, at = read_signed(payload, at)
        value = hundredths / 100
    elif has & _HAS_DOUBLE:
        (value,) = _DOUBLE.unpack_from(payload, at)
        at += _DOUBLE.size
    if has & _HAS_QUALITY:
        bits, at = read_number(payload, at)
        quality = tuple([flag for place, flag in enumerate(QUALITIES) if bits >> place & 1])
    if has & _HAS_DEVICE_TIME:
        length, at = read_number(payload, at)
        device_time = payload[at : at + length].decode()
        at += length
    if has & _HAS_DEVICE_USER:
        device_user, at = read_signed(payload, at)
    if has & _HAS_GROUP:
        behind, at = read_signed(payload, at)
        group = seq - behind
    if at != len(payload):
        raise ValueError("another length")
    return Reading(
        seq=seq,
        device_id=names[device],
        metric=METRICS[metric],
        value=value,
        modality=MODALITIES[small & 1],
        taken_at_ms=taken_at_ms,
        boot_id=names[boot],
        monotonic_ms=monotonic_ms,
        clock_quality=CLOCK_QUALITIES[small >> 1 & 1 | (small >> 6 & 1) << 1],
        range_flag=RANGE_FLAGS[small >> 4 & 3],
        quality=quality,
        device_time=device_time,
        device_user=device_user,
        attribution=ATTRIBUTIONS[small >> 2 & 3],
        group=group,
    )


def pack_row(row: Alarm | Event) -> bytes:
    """An alarm or an event."""
    return bytes([JSON]) + json.dumps(to_map(row), separators=(",", ":"), ensure_ascii=False).encode()


def unpack_row(kind: type[Row], seq: int, payload: bytes) -> Row:
    """The alarm or event in `payload`; MalformedError when the bytes are not one, or are another one."""
    try:
        if payload[0] != JSON:
            raise ValueError("another format")
        row = from_map(kind, json.loads(payload[1:]))
    except (ValueError, IndexError, RecursionError) as cause:
        raise MalformedError(f"row {seq}", "the stored bytes are damaged") from cause
    if row.seq != seq:
        raise MalformedError(f"row {seq}", "the stored bytes belong to another sequence")
    return row


def write_number(target: bytearray, number: int) -> None:
    """Append seven bits a byte, lowest first; ValueError for a negative number."""
    if number < 0:
        raise ValueError("a negative number")
    while number > 0x7F:
        target.append(number & 0x7F | 0x80)
        number >>= 7
    target.append(number)


def write_signed(target: bytearray, number: int) -> None:
    """Append a number that may be negative: small ones of both signs are short."""
    write_number(target, number << 1 if number >= 0 else (-number << 1) - 1)


def read_number(payload: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where the next thing begins; IndexError when the bytes end within it."""
    number = shift = 0
    while True:
        byte = payload[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def read_signed(payload: bytes, at: int) -> tuple[int, int]:
    """See `read_number`, of one that `write_signed` wrote."""
    number, at = read_number(payload, at)
    return (number >> 1 if not number & 1 else -((number + 1) >> 1)), at
