"""Wellue O2Ring and its older kin (CheckO2, SleepU, O2 Max): the ring answers commands in frames of up to many values.

`AA` from the hub, `55` from the ring, a command (in an answer: a status, 0 is success), its complement, a block and a
length (2 bytes each, little-endian), the payload, and CRC-8 (polynomial 07) over all before it. An answer does not say
to what: a text that begins with `{` is the ring's description; 13 bytes are the older set of values, and 12 bytes and
as many samples as they announce the newer one.

The older set: 0 SpO2, 1 pulse, 7 battery in %, 8 charging, 9 motion, 10 perfusion in 0.1 %, 11 worn. The newer one: 0
SpO2, 1 pulse (2 bytes), 3 battery in %, 4 charging, 5 perfusion in 0.1 %, 6 worn (1, and nothing else), 10 the number
of samples of the pulse wave, 12 those.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.bluetooth.repeating import repeating
from bedside_profiles.conversation import Moment, Write
from bedside_profiles.crc8 import crc8
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener, Framing
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Fact, NoReading, Transfer
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.o2ring"
SERVICE = "14839ac4-7d7e-415c-9a42-167340cf2339"
ANSWERS = "0734594a-a8e7-4b1a-a6b1-cd5243059a57"
COMMANDS = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"

INFO, PING, CONFIGURE, READ_VALUES, READ_LIVE = 0x14, 0x15, 0x16, 0x17, 0x1B
HARMFUL = frozenset({0x18})
"""The command that sets the ring back as it left the factory, recordings and all."""
POLL_SECONDS = 1.0
WRITE_BYTES = 20
"""A command longer than this is written in pieces."""

_FROM_HUB, _FROM_RING = 0xAA, 0x55
_HEADER_BYTES = 7
_LONGEST_PAYLOAD_BYTES = 1024
_OLDER_BYTES, _NEWER_BYTES = 13, 12
_WORN = 1
_NO_SATURATION, _NO_PULSE = 0xFF, 0xFFFF

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})
_DESCRIPTION = {"Model": "model", "SN": "serial_number", "SoftwareVer": "firmware", "CurTIME": "clock"}


@dataclass(frozen=True, slots=True)
class OxyRecord:
    """One set of values. `perfusion` is in 0.1 %, 0 stands for none; `worn` is the ring's own word, 1 is worn."""

    spo2: int
    pulse_bpm: int
    perfusion: int
    worn: int
    battery_percent: int = 0
    charging: int = 0
    wave: tuple[int, ...] = ()

    @classmethod
    def from_payload(cls, payload: bytes) -> "OxyRecord | None":
        """None for a payload that is no set of values."""
        if len(payload) < _NEWER_BYTES:
            return None
        wave = payload[_NEWER_BYTES:]
        is_newer = len(payload) != _OLDER_BYTES and len(wave) == int.from_bytes(payload[10:12], "little")
        if not is_newer:
            # The older set's last byte means nothing, and not everybody counts it.
            if len(payload) > _OLDER_BYTES or payload[11] > _WORN:
                return None
            return cls(payload[0], payload[1], payload[10], payload[11], payload[7], payload[8])
        pulse = int.from_bytes(payload[1:3], "little")
        return cls(payload[0], pulse, payload[5], payload[6], payload[3], payload[4], tuple(wave))

    def to_payload(self) -> bytes:
        """The newer set of values. Raises `EncodeError`."""
        if len(self.wave) == _OLDER_BYTES - _NEWER_BYTES:
            raise EncodeError("with a single sample it would be taken for the older set")
        try:
            return (
                bytes((self.spo2,))
                + self.pulse_bpm.to_bytes(2, "little")
                + bytes((self.battery_percent, self.charging, self.perfusion, self.worn, 0, 0, 0))
                + len(self.wave).to_bytes(2, "little")
                + bytes(self.wave)
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error

    def decoded(self) -> Decoded:
        """What is measured, and what the ring says beside it."""
        members = Members(Modality.CONTINUOUS)
        members.add_oximetry(
            Special.NAN if self.spo2 == _NO_SATURATION else float(self.spo2),
            Special.NAN if self.pulse_bpm == _NO_PULSE else float(self.pulse_bpm),
            self.perfusion / 10,
            reason=None if self.worn == _WORN else NoReading.SENSOR_OFF,
        )
        return members.decoded(
            Fact("battery_percent", self.battery_percent),
            Fact("charging", self.charging),
            Fact("pulse_wave", self.wave),
        )


def frame_of(mark: int, command: int, payload: bytes, block: int) -> bytes:
    """The frame around a payload."""
    head = bytes((mark, command, command ^ 0xFF)) + block.to_bytes(2, "little")
    body = head + len(payload).to_bytes(2, "little") + payload
    return body + bytes((crc8(body),))


def _size(head: bytes) -> int | None:
    if len(head) > 2 and head[1] ^ head[2] != 0xFF:
        raise DecodeError(NAME, "the complement of the command is wrong", head)
    if len(head) < _HEADER_BYTES:
        return None
    length = int.from_bytes(head[5:7], "little")
    if length > _LONGEST_PAYLOAD_BYTES:
        raise DecodeError(NAME, f"a payload of {length} bytes", head)
    return _HEADER_BYTES + length + 1


def _problem(frame: bytes) -> str | None:
    return None if crc8(frame[:-1]) == frame[-1] else "wrong CRC-8 of a frame"


def _decode(frame: bytes) -> tuple[Decoded, ...]:
    status, block, payload = frame[1], int.from_bytes(frame[3:5], "little"), frame[_HEADER_BYTES:-1]
    if status == 0 and payload.startswith(b"{"):
        return (_description(frame, payload),)
    record = OxyRecord.from_payload(payload) if status == 0 and block == 0 else None
    if record is not None:
        return (record.decoded(),)
    return (Decoded(facts=(Fact("status", status), Fact("block", block), Fact("length", len(payload)))),)


def _description(frame: bytes, payload: bytes) -> Decoded:
    try:
        said = json.loads(payload.rstrip(b"\0 \t\r\n"))
    except ValueError as error:
        raise DecodeError(NAME, "a description that cannot be read", frame) from error
    if not isinstance(said, dict):
        raise DecodeError(NAME, "a description that is no list of names", frame)
    return Decoded(facts=tuple([Fact(name, str(said[key])) for key, name in _DESCRIPTION.items() if key in said]))


def listen() -> FrameListener:
    """A listener for one connection."""
    return FrameListener(Framing(NAME, bytes((_FROM_RING,)), _size, _problem, _decode), ANSWERS)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes, joined again. Raises `DecodeError`, also for the command that erases the ring."""
    if written[:1] != bytes((_FROM_HUB,)) or _size(written) != len(written):
        raise DecodeError(NAME, "no whole frame of a hub", written)
    problem = _problem(written)
    if problem is not None:
        raise DecodeError(NAME, problem, written)
    if written[1] in HARMFUL:
        raise DecodeError(NAME, f"command {written[1]:02x} erases the ring: no hub sends it", written)
    block = int.from_bytes(written[3:5], "little")
    return Decoded(
        facts=(
            Fact("command", written[1]),
            Fact("block", block),
            Fact("length", len(written) - _HEADER_BYTES - 1),
        )
    )


def encode_command(command: int, payload: bytes = b"", block: int = 0) -> tuple[bytes, ...]:
    """A command of the hub, in the pieces in which it is written. Raises `EncodeError` for one of `HARMFUL`."""
    if command in HARMFUL:
        raise EncodeError(f"command {command:02x} erases the ring: it is never sent")
    whole = frame_of(_FROM_HUB, command, payload, block)
    return tuple([whole[at : at + WRITE_BYTES] for at in range(0, len(whole), WRITE_BYTES)])


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The answer that says these measurements; without any, that the ring is not worn."""
    if characteristic != ANSWERS:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS)
    record = OxyRecord(
        steps_of(measurements, Metric.SPO2) or 0,
        steps_of(measurements, Metric.PULSE_RATE) or 0,
        steps_of(measurements, Metric.PERFUSION_INDEX, 10) or 0,
        worn=0 if first is None else _WORN,
        battery_percent=80,
    )
    return frame_of(_FROM_RING, 0, record.to_payload(), 0)


def _ask(_now: Moment) -> tuple[Write, ...]:
    return tuple([Write(piece, COMMANDS) for piece in encode_command(READ_VALUES)])


PROFILE = BleProfile(
    name=NAME,
    label="Wellue O2Ring",
    service_uuid=SERVICE,
    characteristics=(Characteristic(ANSWERS, Transfer.NOTIFY, required=True),),
    listen=listen,
    encode=encode,
    silence_seconds=30.0,
    names=("o2ring", "checkme o2", "checko2", "sleepu", "o2 max"),
    commands=(COMMANDS,),
    decode_command=decode_command,
    converse=repeating(_ask, _ask, POLL_SECONDS),
)
