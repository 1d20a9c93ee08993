"""Contec CMS50D-BT and EMAY SleepO2: frames on FF02, commands on FF01 of the service FF12.

`EB 01 state pulse SpO2 7F 00 sum` are the values, about once a second; `EB 00 flags wave bar sum` is the pulse wave, 60
a second, with bit 6 of the flags at each beat. The sum has 7 bits. Several frames stand in one value. The state was
seen as 4, 5 and 6 beside good values; 0 and FF in the place of a value mean that there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.bluetooth.repeating import repeating
from bedside_profiles.conversation import Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener, Framing
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    NoReading,
    Transfer,
    sig_uuid,
)
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.contec_cms50d_bt"
SERVICE = sig_uuid(0xFF12)
COMMANDS = sig_uuid(0xFF01)
STREAM = sig_uuid(0xFF02)

START = bytes.fromhex("9b011c")
STOP = bytes.fromhex("9b7f1a")
KEEP_ALIVE = bytes.fromhex("9a1a")
"""Wanted every five seconds, or the stream ends."""
KEEP_ALIVE_SECONDS = 4.0

_MARK, _VALUES, _WAVE = 0xEB, 0x01, 0x00
_SIZES = {_VALUES: 8, _WAVE: 6}
_TRAILER = bytes((0x7F, 0x00))
_NONE = 0xFF
_BEAT = 0x40
_STATE_WITH_VALUES = 5

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})
_COMMAND_NAMES = {START[:-1]: "start", STOP[:-1]: "stop", KEEP_ALIVE[:-1]: "keep alive"}


@dataclass(frozen=True, slots=True)
class ContecRecord:
    """One frame of values, None where the device has none."""

    state: int
    pulse_bpm: int | None
    spo2: int | None

    @classmethod
    def from_bytes(cls, frame: bytes) -> "ContecRecord":
        """A frame whose sum is right. Raises `DecodeError`."""
        if frame[5:7] != _TRAILER:
            raise DecodeError(NAME, f"{frame[5:7].hex()} where 7f00 stands", frame)
        return cls(frame[2], None if frame[3] == _NONE else frame[3], None if frame[4] == _NONE else frame[4])

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        pulse = _NONE if self.pulse_bpm is None else self.pulse_bpm
        spo2 = _NONE if self.spo2 is None else self.spo2
        try:
            body = bytes((_MARK, _VALUES, self.state, pulse, spo2)) + _TRAILER
        except ValueError as error:
            raise EncodeError(str(error)) from error
        return body + bytes((sum7(body),))


def sum7(data: bytes) -> int:
    """The sum of all bytes, modulo 128."""
    return sum(data) & 0x7F


def _size(head: bytes) -> int | None:
    if len(head) < 2:
        return None
    if head[1] not in _SIZES:
        raise DecodeError(NAME, f"no frame of the kind {head[1]:02x}", head)
    return _SIZES[head[1]]


def _problem(frame: bytes) -> str | None:
    return None if sum7(frame[:-1]) == frame[-1] else "wrong sum of a frame"


def _decode(frame: bytes) -> tuple[Decoded, ...]:
    if frame[1] == _WAVE:
        facts = (Fact("pleth", frame[3]), Fact("bar_graph", frame[4]), Fact("beat", bool(frame[2] & _BEAT)))
        return (Decoded(facts=facts),)
    record = ContecRecord.from_bytes(frame)
    members = Members(Modality.CONTINUOUS)
    off = record.spo2 is None and record.pulse_bpm is None
    for metric, number in ((Metric.SPO2, record.spo2), (Metric.PULSE_RATE, record.pulse_bpm)):
        if off:
            members.withhold(metric, NoReading.SENSOR_OFF)
        else:
            members.add(metric, Special.NAN if number is None else float(number))
    return (members.decoded(Fact("state", record.state)),)


def listen() -> FrameListener:
    """A listener for one connection."""
    return FrameListener(Framing(NAME, bytes((_MARK,)), _size, _problem, _decode), STREAM)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes to FF01. Raises `DecodeError`."""
    if len(written) < 2 or sum7(written[:-1]) != written[-1]:
        raise DecodeError(NAME, "a command ends with the sum of its bytes, modulo 128", written)
    name = _COMMAND_NAMES.get(written[:-1], "unknown")
    return Decoded(facts=(Fact("command", written[0]), Fact("command_name", name)))


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; without any, it says that no finger is in the sensor."""
    if characteristic != STREAM:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    holding(measurements, _MEMBERS)
    return ContecRecord(
        _STATE_WITH_VALUES, steps_of(measurements, Metric.PULSE_RATE), steps_of(measurements, Metric.SPO2)
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Contec CMS50D-BT or EMAY SleepO2 pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(Characteristic(STREAM, Transfer.NOTIFY, required=True),),
    listen=listen,
    encode=encode,
    silence_seconds=30.0,
    names=("cms50d-bt", "contec", "cms50", "emay", "sleepo2"),
    commands=(COMMANDS,),
    decode_command=decode_command,
    converse=repeating(
        lambda _now: (Write(START, COMMANDS),), lambda _now: (Write(KEEP_ALIVE, COMMANDS),), KEEP_ALIVE_SECONDS
    ),
)
