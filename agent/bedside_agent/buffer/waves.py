"""A piece of a waveform as bytes in the store: each sample as its distance from the one before, a byte or two."""

import struct

from bedside_agent.buffer.rows import (
    ATTRIBUTIONS,
    CLOCK_QUALITIES,
    PACKED,
    read_number,
    read_signed,
    write_number,
    write_signed,
)
from bedside_profiles.errors import MalformedError
from bedside_profiles.waveforms import Signal
from bedside_profiles.wire.waveform import Waveform

# A place in this tuple is what stands on disk: append at the end, never sort, never remove.
SIGNALS = (Signal.ECG,)

_HEAD = struct.Struct(">BBBBd")


def pack_waveform(item: Waveform) -> bytes:
    """The piece with its sequence."""
    clock, attribution = CLOCK_QUALITIES.index(item.clock_quality), ATTRIBUTIONS.index(item.attribution)
    body = bytearray(_HEAD.pack(PACKED, SIGNALS.index(item.signal), clock, attribution, item.rate_hz))
    for number in (item.seq, item.taken_at_ms, item.monotonic_ms):
        write_number(body, number)
    for text in (item.device_id, item.boot_id, item.device_time or ""):
        encoded = text.encode()
        write_number(body, len(encoded))
        body += encoded
    write_number(body, len(item.samples))
    before = 0
    for sample in item.samples:
        write_signed(body, sample - before)
        before = sample
    return bytes(body)


def unpack_waveform(seq: int, payload: bytes) -> Waveform:
    """The piece in `payload`; MalformedError when the bytes are not one, or are another one."""
    try:
        return _unpack(seq, payload)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as cause:
        raise MalformedError(f"waveform {seq}", "the stored bytes are damaged") from cause


def _unpack(seq: int, payload: bytes) -> Waveform:
    form, signal, clock, attribution, rate_hz = _HEAD.unpack_from(payload)
    at = _HEAD.size
    numbers: list[int] = []
    for _ in range(3):
        number, at = read_number(payload, at)
        numbers.append(number)
    texts: list[str] = []
    for _ in range(3):
        length, at = read_number(payload, at)
        texts.append(payload[at : at + length].decode())
        at += length
    count, at = read_number(payload, at)
    samples: list[int] = []
    sample = 0
    for _ in range(count):
        step, at = read_signed(payload, at)
        sample += step
        samples.append(sample)
    if form != PACKED or numbers[0] != seq or at != len(payload):
        raise ValueError("another format, another piece, or another length")
    return Waveform(
        seq=seq,
        device_id=texts[0],
        signal=SIGNALS[signal],
        rate_hz=rate_hz,
        samples=tuple(samples),
        taken_at_ms=numbers[1],
        boot_id=texts[1],
        monotonic_ms=numbers[2],
        clock_quality=CLOCK_QUALITIES[clock],
        device_time=texts[2] or None,
        attribution=ATTRIBUTIONS[attribution],
    )
