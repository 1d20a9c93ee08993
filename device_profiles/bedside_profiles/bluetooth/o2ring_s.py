"""Wellue O2Ring-S ("OxyII", T8520, S8-AW): the ring answers commands; each poll of live samples is one set of values.

The envelope is `lepu`'s. The answer to LIVE (04): counter (2 bytes), .., at 5 the state (0: no finger; 1: worn; 3: worn
and a file open), 6 SpO2, 7 motion, 8 heart rate, 13 battery in %, 24 the number of samples of the pulse wave (2 bytes),
and those. Before files, the hub authenticates with a payload that is hidden by the MD5 of a word; the ring answers
nothing to it. The link must have an MTU of 517, or the ring is silent about files.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from bedside_profiles.bluetooth.repeating import repeating
from bedside_profiles.conversation import Moment, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import FrameListener
from bedside_profiles.lepu import LepuFrame, clock_of, command_frame, command_of, framing
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special
from bedside_profiles.profile import BleProfile, Characteristic, Decoded, EncodeError, Fact, NoReading, Transfer
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "bluetooth.o2ring_s"
SERVICE = "e8fb0001-a14b-98f9-831b-4e2941d01248"
COMMANDS = "e8fb0002-a14b-98f9-831b-4e2941d01248"
ANSWERS = "e8fb0003-a14b-98f9-831b-4e2941d01248"

LIVE, SET_TIME, INFO, BATTERY, AUTHENTICATE = 0x04, 0xC0, 0xE1, 0xE4, 0xFF
HARMFUL = frozenset({0xE3, 0xEE})
"""They erase every recording; after EE the ring is dead until it is plugged in."""

POLL_SECONDS = 1.0
_LIVE_BYTES = 24
_NO_FINGER = 0
_WORN = frozenset({1, 3})
_NONE = 0xFF

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})


@dataclass(frozen=True, slots=True)
class RingRecord:
    """One answer to LIVE. 0 and 255 in the place of a value mean that there is none."""

    state: int
    spo2: int
    pulse_bpm: int
    motion: int = 0
    battery_percent: int = 0
    counter: int = 0
    wave: tuple[int, ...] = ()

    @classmethod
    def from_payload(cls, payload: bytes) -> "RingRecord":
        """Raises `DecodeError`."""
        if len(payload) < _LIVE_BYTES:
            raise DecodeError(NAME, f"live samples have at least {_LIVE_BYTES} bytes, not {len(payload)}", payload)
        wave = payload[_LIVE_BYTES + 2 :]
        if len(payload) > _LIVE_BYTES and len(wave) != int.from_bytes(payload[_LIVE_BYTES : _LIVE_BYTES + 2], "little"):
            raise DecodeError(NAME, "another number of samples than is said", payload)
        counter = int.from_bytes(payload[:2], "little")
        return cls(payload[5], payload[6], payload[8], payload[7], payload[13], counter, tuple(wave))

    def to_payload(self) -> bytes:
        """The payload of the answer. Raises `EncodeError`."""
        try:
            return (
                self.counter.to_bytes(2, "little")
                + bytes((0, 0, 2, self.state, self.spo2, self.motion, self.pulse_bpm, 0, 0, 0, 0, self.battery_percent))
                + bytes(10)
                + len(self.wave).to_bytes(2, "little")
                + bytes(self.wave)
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error

    def decoded(self) -> Decoded:
        """What is measured, and what the ring says beside it."""
        members = Members(Modality.CONTINUOUS)
        for metric, number in ((Metric.SPO2, self.spo2), (Metric.PULSE_RATE, self.pulse_bpm)):
            if self.state == _NO_FINGER:
                members.withhold(metric, NoReading.SENSOR_OFF)
            elif self.state not in _WORN:
                members.withhold(metric, NoReading.INVALID)
            else:
                members.add(metric, Special.NAN if number == _NONE else float(number))
        return members.decoded(
            Fact("state", self.state),
            Fact("motion", self.motion),
            Fact("battery_percent", self.battery_percent),
            Fact("counter", self.counter),
            Fact("pulse_wave", self.wave),
        )


def _decode(frame: LepuFrame) -> tuple[Decoded, ...]:
    payload = frame.payload
    if frame.command == LIVE:
        return (RingRecord.from_payload(payload).decoded(),)
    facts: list[Fact] = [Fact("answer_to", frame.command)]
    if frame.command == BATTERY and len(payload) == 4:
        facts.append(Fact("battery_percent", payload[1]))
    elif frame.command == INFO and len(payload) >= 38 and 38 + payload[37] <= len(payload):
        facts.append(Fact("firmware", payload[9:17].decode("ascii", errors="replace")))
        facts.append(Fact("serial_number", payload[38 : 38 + payload[37]].decode("ascii", errors="replace")))
        clock = clock_of(payload[24:31])
        if clock is not None:
            facts.append(Fact("clock", clock))
    else:
        facts.append(Fact("length", len(payload)))
    return (Decoded(facts=tuple(facts)),)


def listen() -> FrameListener:
    """A listener for one connection."""
    return FrameListener(framing(NAME, _decode), ANSWERS)


def decode_command(written: bytes) -> Decoded:
    """What a hub writes. Raises `DecodeError`, also for commands that erase the ring."""
    frame = command_of(NAME, written, HARMFUL)
    facts = [Fact("command", frame.command), Fact("length", len(frame.payload)), Fact("sequence", frame.sequence)]
    clock = clock_of(frame.payload) if frame.command == SET_TIME else None
    return Decoded(facts=(*facts, *(() if clock is None else (Fact("clock", clock),))))


def encode_command(command: int, payload: bytes = b"", sequence: int = 0) -> bytes:
    """A command of the hub. Raises `EncodeError` for one of `HARMFUL`."""
    return command_frame(command, payload, HARMFUL, sequence)


def authentication(unix_seconds: int, serial_prefix: str = "0000") -> bytes:
    """The payload of AUTHENTICATE. The ring takes "0000" for the beginning of its serial number."""
    word = hashlib.md5(b"lepucloud", usedforsecurity=False).digest()
    key = word[::2] + serial_prefix.encode("ascii")[:4].ljust(4, b"0")
    # Shifts by single bits, as the maker's own software has them.
    key += bytes(unix_seconds >> shift & 0xFF for shift in range(4))
    return bytes(one ^ other for one, other in zip(key, word, strict=True))


def encode(characteristic: str, measurements: Sequence[Measurement]) -> bytes:
    """The answer to LIVE that says these measurements; without any, that no finger is in the ring."""
    if characteristic != ANSWERS:
        raise EncodeError(f"no measurement characteristic: {characteristic}")
    first = holding(measurements, _MEMBERS)
    record = RingRecord(
        _NO_FINGER if first is None else 1,
        steps_of(measurements, Metric.SPO2) or 0,
        steps_of(measurements, Metric.PULSE_RATE) or 0,
        battery_percent=80,
    )
    return LepuFrame(LIVE, record.to_payload()).to_bytes()


def _let_in(now: Moment) -> tuple[Write, ...]:
    seconds = 0 if now.local is None else int(now.local.replace(tzinfo=UTC).timestamp())
    return (Write(encode_command(AUTHENTICATE, authentication(seconds)), COMMANDS), *_ask(now))


def _ask(_now: Moment) -> tuple[Write, ...]:
    return (Write(encode_command(LIVE), COMMANDS),)


PROFILE = BleProfile(
    name=NAME,
    label="Wellue O2Ring-S",
    service_uuid=SERVICE,
    characteristics=(Characteristic(ANSWERS, Transfer.NOTIFY, required=True),),
    listen=listen,
    encode=encode,
    silence_seconds=30.0,
    commands=(COMMANDS,),
    decode_command=decode_command,
    converse=repeating(_let_in, _ask, POLL_SECONDS),
)
