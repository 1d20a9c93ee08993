"""Viatom/Lepu PC-60FW and its clones, over the Nordic UART service: no command is needed, values come by themselves.

A frame is `AA 55`, a token, a length (type, content and check), a type, its content, and CRC-8/MAXIM over all before
it. Token 0F is the oximeter: type 1 `SpO2 pulse16 perfusion status ..`, type 2 the pulse wave, type 21 what the device
is doing. Token F0 is the device: type 1 its name, 2 its serial number, 3 its battery in bars (0 to 3). Numbers are
little-endian. A value of 20 bytes holds one frame and a part of the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.crc8 import crc8_maxim
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener, Framing
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Fact, NoReading, Transfer
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.pc60fw"
SERVICE = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
COMMANDS = "6e400002-b5a3-f393-e0a9-e50e24dcca9e"
STREAM = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"

_START = b"\xaa\x55"
_OXIMETER, _DEVICE = 0x0F, 0xF0
_VALUES, _WAVE, _WORK = 0x01, 0x02, 0x21
_DEVICE_NAME, _SERIAL, _BATTERY = 0x01, 0x02, 0x03
_OFF, _SEARCHING = 0x02, 0x04
_NO_PULSE = 0xFF
"""Above what it measures (240); 127 % is no saturation either."""
_LONGEST_BODY_BYTES = 64
_LAST_BYTE = 0xC0
"""Stands behind the status in every captured frame."""

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE, Metric.PERFUSION_INDEX})


@dataclass(frozen=True, slots=True)
class Pc60Record:
    """One set of values. `perfusion` is in 0.1 %; 0 stands for none."""

    spo2: int
    pulse_bpm: int
    perfusion: int
    status: int = 0

    @classmethod
    def from_content(cls, frame: bytes, content: bytes) -> "Pc60Record":
        """The content of type 1. Raises `DecodeError` for `frame`."""
        if len(content) not in {5, 6}:
            raise DecodeError(NAME, f"values of {len(content)} bytes", frame)
        return cls(content[0], int.from_bytes(content[1:3], "little"), content[3], content[4])

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        try:
            content = (
                bytes((self.spo2,))
                + self.pulse_bpm.to_bytes(2, "little")
                + bytes((self.perfusion, self.status, _LAST_BYTE))
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        return frame_of(_OXIMETER, _VALUES, content)


def frame_of(token: int, kind: int, content: bytes) -> bytes:
    """The frame around a content."""
    body = _START + bytes((token, len(content) + 2, kind)) + content
    return body + bytes((crc8_maxim(body),))


def _size(head: bytes) -> int | None:
    if len(head) > 2 and head[2] not in {_OXIMETER, _DEVICE}:
        raise DecodeError(NAME, f"no token {head[2]:02x}", head)
    if len(head) < 4:
        return None
    if not 2 <= head[3] <= _LONGEST_BODY_BYTES:
        raise DecodeError(NAME, f"a length of {head[3]} bytes", head)
    return 4 + head[3]


def _problem(frame: bytes) -> str | None:
    return None if crc8_maxim(frame[:-1]) == frame[-1] else "wrong CRC-8/MAXIM of a frame"


def _decode(frame: bytes) -> tuple[Decoded, ...]:
    token, kind, content = frame[2], frame[4], frame[5:-1]
    if (token, kind) == (_OXIMETER, _VALUES):
        return (_values(Pc60Record.from_content(frame, content)),)
    fact = Fact("unread_content", content.hex())
    if (token, kind) == (_OXIMETER, _WAVE):
        fact = Fact("pulse_wave", tuple([sample & 0x7F for sample in content]))
    elif (token, kind) == (_OXIMETER, _WORK):
        fact = Fact("work_status", tuple(content))
    elif (token, kind) == (_DEVICE, _BATTERY) and len(content) == 1:
        fact = Fact("battery_bars", content[0])
    elif (token, kind) == (_DEVICE, _SERIAL):
        fact = Fact("serial_number", _text(content))
    elif (token, kind) == (_DEVICE, _DEVICE_NAME):
        fact = Fact("device_name", _text(content[3:]))
    return (Decoded(facts=(fact,)),)


def _values(record: Pc60Record) -> Decoded:
    members = Members(Modality.CONTINUOUS)
    reason = None
    if record.status & _OFF:
        reason = NoReading.SENSOR_OFF
    elif record.status & _SEARCHING:
        reason = NoReading.NOT_A_NUMBER
    pulse = Special.NAN if record.pulse_bpm == _NO_PULSE else float(record.pulse_bpm)
    members.add_oximetry(float(record.spo2), pulse, record.perfusion / 10, reason=reason)
    return members.decoded(Fact("status", record.status))


def _text(content: bytes) -> str:
    return content.rstrip(b"\0").decode("ascii", errors="replace")


def listen() -> FrameListener:
    """A listener for one connection."""
    return FrameListener(Framing(NAME, _START, _size, _problem, _decode), STREAM)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes to the UART. Raises `DecodeError`."""
    if len(written) < 6 or not written.startswith(_START) or _size(written) != len(written):
        raise DecodeError(NAME, "no frame of a hub", written)
    problem = _problem(written)
    if problem is not None:
        raise DecodeError(NAME, problem, written)
    return Decoded(facts=(Fact("token", written[2]), Fact("command", written[4])))


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """One frame that decodes to these measurements; without any, it says that no finger is in the sensor."""
    if characteristic != STREAM:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS)
    return Pc60Record(
        steps_of(measurements, Metric.SPO2) or 0,
        steps_of(measurements, Metric.PULSE_RATE) or 0,
        steps_of(measurements, Metric.PERFUSION_INDEX, 10) or 0,
        status=_OFF if first is None else 0,
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Viatom PC-60FW pulse oximeter",
    service_uuid=SERVICE,
    characteristics=(Characteristic(STREAM, Transfer.NOTIFY, required=True),),
    listen=listen,
    encode=encode,
    silence_seconds=30.0,
    names=("pc-60", "pc60", "viatom", "lepu", "oxysmart"),
    commands=(COMMANDS,),
    decode_command=decode_command,
)
