"""Contec spirometers SP10: a stream of frames in the notifications of one characteristic.

The first byte is the kind of a frame and alone has bit 7 set; numbers have 14 bits, the lower 7 first. A record (E1) is
44 bytes and ends with the sum of the others, 7 bits wide. The curve of the flow (E2) is passed over.

The layout is known from a public app and from no recorded bytes. The hub's commands that end a transfer by deleting the
records, or that delete them at once, exist nowhere as an encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, number_of, shared
from bedside_profiles.numbers import Special
from bedside_profiles.profile import (
    BleProfile,
    Characteristic,
    Decoded,
    EncodeError,
    Fact,
    Transfer,
    sig_uuid,
)
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.streams import NO_FRAME, FrameStream, Outcomes

NAME = "bluetooth.contec_sp10"
SERVICE = sig_uuid(0xFF12)
WRITTEN = sig_uuid(0xFF01)
NOTIFIED = sig_uuid(0xFF02)

_RECORD, _COUNT, _WAVE = 0xE1, 0xE0, 0xE2
_SIZES = {0xF0: 2, 0xF3: 3, 0xF2: 8, 0xE4: 23, _COUNT: 10, _RECORD: 44, _WAVE: 5, 0xE3: 3}
_NO_RECORD = (0x7E, 0x7F)
_WAVE_POINT_BYTES = 8
_SECONDS_A_MINUTE = 60

_MEMBERS = frozenset({Metric.FVC, Metric.FEV1, Metric.PEAK_FLOW})


@dataclass(frozen=True, slots=True)
class SpirometryRecord:
    """One record. Volumes in hundredths of a litre, the peak flow in such a second; 0 where not measured."""

    number: int
    moment: datetime
    fvc_cl: int
    fev1_cl: int
    peak_flow_cl_per_second: int
    after_drug: bool = False

    @classmethod
    def from_bytes(cls, frame: bytes) -> "SpirometryRecord":
        """Of a frame that `frame_problem` finds nothing wrong with. Raises `DecodeError`."""
        year, month, day, hour, minute, second = frame[5:11]
        try:
            moment = datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the device names no zone
        except ValueError as error:
            raise DecodeError(NAME, "a date there is not", frame) from error
        return cls(
            _number(frame, 3), moment, _number(frame, 17), _number(frame, 21), _number(frame, 29), bool(frame[16])
        )

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        frame = bytearray(_SIZES[_RECORD] - 1)
        frame[0], frame[2], frame[15], frame[16] = _RECORD, 1, 1, self.after_drug
        when = self.moment
        frame[5:11] = (when.year - 2000, when.month, when.day, when.hour, when.minute, when.second)
        for place, value in (
            (3, self.number),
            (17, self.fvc_cl),
            (21, self.fev1_cl),
            (29, self.peak_flow_cl_per_second),
        ):
            if not 0 <= value < 1 << 14:
                raise EncodeError("a number of more than 14 bits")
            frame[place : place + 2] = value & 0x7F, value >> 7
        return bytes(frame) + bytes((sum(frame) & 0x7F,))

    def decoded(self) -> Decoded:
        """What it says."""
        members = Members(Modality.SPOT, device_time=self.moment)
        members.add(Metric.FVC, self.fvc_cl / 100)
        members.add(Metric.FEV1, self.fev1_cl / 100)
        members.add(Metric.PEAK_FLOW, self.peak_flow_cl_per_second * _SECONDS_A_MINUTE / 100)
        return members.decoded(
            Fact("device_clock", self.moment.isoformat()),
            Fact("record_number", self.number),
            Fact("after_drug", self.after_drug),
        )


def _number(frame: bytes, at: int) -> int:
    return frame[at] | frame[at + 1] << 7


def frame_problem(frame: bytes) -> str | None:
    """What is wrong with the frame; None when nothing is."""
    if any(byte & 0x80 for byte in frame[1:]):
        return "bit 7 is set behind the first byte of a frame"
    if frame[0] == _RECORD and sum(frame[:-1]) & 0x7F != frame[-1]:
        return "wrong sum of a record"
    return None


class Sp10Listener:
    """Finds records in the notifications, however they are cut."""

    def __init__(self) -> None:
        self._wave_bytes = 0
        self._stream = FrameStream(
            NAME, size_of=self._size, problem_of=self._problem, take=self._take, broken=self._end_wave
        )

    def feed(self, characteristic: str, payload: bytes) -> Outcomes:
        """See `profile.Listener`."""
        if characteristic != NOTIFIED:
            return (DecodeError(NAME, f"no measurement characteristic: {characteristic}", payload),)
        return self._stream.feed(payload) if payload else (DecodeError(NAME, "a value without any byte"),)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`."""
        return self._stream.rest()

    def _size(self, data: bytes) -> int:
        if self._wave_bytes and not data[0] & 0x80:
            return 1
        return _SIZES.get(data[0], NO_FRAME)

    def _problem(self, frame: bytes) -> str | None:
        return None if len(frame) == 1 else frame_problem(frame)

    def _end_wave(self) -> None:
        self._wave_bytes = 0

    def _take(self, frame: bytes) -> Sequence[Decoded]:
        if len(frame) == 1:
            self._wave_bytes -= 1
            return ()
        self._wave_bytes = _number(frame, 3) * _WAVE_POINT_BYTES if frame[0] == _WAVE else 0
        if frame[0] == _RECORD and frame[1] not in _NO_RECORD:
            return (SpirometryRecord.from_bytes(frame).decoded(),)
        if frame[0] == _COUNT:
            return (Decoded(facts=(Fact("results", _number(frame, 1)),)),)
        return (Decoded(facts=(Fact("answer", frame[0]),)),)


def decode_command(payload: bytes) -> Decoded:
    """What a hub's frame is. Raises `DecodeError`."""
    if len(payload) < 2 or not payload[0] & 0x80:
        raise DecodeError(NAME, "a command begins with bit 7 set", payload)
    return Decoded(facts=(Fact("command", payload[0]),))


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The record of one test; without measurements, that there are none. Raises `EncodeError`."""
    if characteristic != NOTIFIED:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = shared(measurements, _MEMBERS)
    if first is None:
        return bytes((_COUNT,)) + bytes(_SIZES[_COUNT] - 1)
    if first.device_time is None or first.device_user is not None or first.quality:
        raise EncodeError("a record holds a time, and neither user nor quality")
    fvc, fev1, flow = (number_of(measurements, metric) or 0.0 for metric in (Metric.FVC, Metric.FEV1, Metric.PEAK_FLOW))
    if isinstance(fvc, Special) or isinstance(fev1, Special) or isinstance(flow, Special):
        raise EncodeError("a record holds no infinities")
    return SpirometryRecord(
        1,
        datetime.fromisoformat(first.device_time),
        round(fvc * 100),
        round(fev1 * 100),
        round(flow * 100 / _SECONDS_A_MINUTE),
    ).to_bytes()


PROFILE = BleProfile(
    name=NAME,
    label="Contec SP10 spirometer",
    service_uuid=SERVICE,
    characteristics=(Characteristic(NOTIFIED, Transfer.NOTIFY, required=True),),
    listen=Sp10Listener,
    encode=encode,
    silence_seconds=None,
    names=("spirometer", "sp10", "sp70", "sp80"),
    commands=(WRITTEN,),
    decode_command=decode_command,
)
