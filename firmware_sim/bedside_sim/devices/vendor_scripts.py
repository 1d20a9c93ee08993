"""What makers' devices do when a hub speaks to them, through their own profiles' encoders."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from bedside_profiles.bluetooth import (
    contec_cms50d_bt,
    contec_sp10,
    ihealth_kn550,
    lepu_bp2w,
    microlife_bp3gy1,
)
from bedside_profiles.bluetooth.contec_sp10 import SpirometryRecord
from bedside_profiles.bluetooth.ihealth_kn550 import KnRecord
from bedside_profiles.bluetooth.lepu_bp2w import Bp2Record
from bedside_profiles.bluetooth.microlife_bp3gy1 import MicrolifeRecord
from bedside_profiles.lepu import LepuFrame
from bedside_profiles.profile import BleProfile
from bedside_profiles.readings import Measurement, Metric


class Speaks:
    """Says its values by itself (PC-60FW, Nonin 3230, BerryMed, Jumper, Yuwell, Yonker, Sanitas)."""

    keeps = False

    def __init__(self, profile: BleProfile) -> None:
        self._profile = profile

    def connected(self) -> None:
        """See `vendor_device.Script`."""

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        return ()

    def ticked(self, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        return (self._profile.encode(self._profile.characteristics[0].uuid, measured),)


class KeptAlive(Speaks):
    """Contec CMS50D-BT: speaks once started, as long as it is kept alive."""

    def __init__(self, patience_seconds: float = 5.0) -> None:
        super().__init__(contec_cms50d_bt.PROFILE)
        self._patience_seconds = patience_seconds
        self._until = 0.0

    def connected(self) -> None:
        """See `vendor_device.Script`."""
        self._until = 0.0

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        is_alive = time.monotonic() < self._until
        if command == contec_cms50d_bt.START or (command == contec_cms50d_bt.KEEP_ALIVE and is_alive):
            self._until = time.monotonic() + self._patience_seconds
        return ()

    def ticked(self, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        return super().ticked(measured) if time.monotonic() < self._until else ()


class Polled(Speaks):
    """Says its values each time that it is asked (O2Ring, O2Ring-S)."""

    def __init__(self, profile: BleProfile, is_question: Callable[[bytes], bool]) -> None:
        super().__init__(profile)
        self._is_question = is_question

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        return super().ticked(measured) if self._is_question(command) else ()

    def ticked(self, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        return ()


_R = TypeVar("_R")


class Kept(Generic[_R]):
    """Says nothing by itself; what it measures, it keeps."""

    keeps = True

    def __init__(self, records: Sequence[_R]) -> None:
        self.records = list(records)

    def connected(self) -> None:
        """See `vendor_device.Script`."""

    def ticked(self, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        self.records.append(self._record(measured))
        return ()

    def _record(self, measured: Sequence[Measurement]) -> _R:
        raise NotImplementedError


class MicrolifeMemory(Kept[MicrolifeRecord]):
    """Microlife BP3GY1: hands over its whole memory in one frame."""

    def __init__(self, records: Sequence[MicrolifeRecord]) -> None:
        super().__init__(records)
        self.settings = 0

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        self.settings += any(fact.name == "clock" for fact in microlife_bp3gy1.decode_command(command).facts)
        if command != microlife_bp3gy1.ask_for_measurements():
            return ()
        slots = b"".join(record.to_bytes() for record in self.records) or bytes(microlife_bp3gy1.RECORD_BYTES)
        return (microlife_bp3gy1.frame(bytes(microlife_bp3gy1.RECORDS_AT) + slots),)

    def _record(self, measured: Sequence[Measurement]) -> MicrolifeRecord:
        return MicrolifeRecord(*pressures(measured), taken(measured))


class Bp2wMemory(Kept[Bp2Record]):
    """LP-BP2W: a file, read in pieces of `piece_bytes`. While `is_measuring` it does not answer to the file.

    That it has measured it says once to whoever asks for its state.
    """

    _INFO_BYTES, _CLOCK_AT, _SERIAL_AT = 60, 24, 37
    _IDLE, _MEASURING = 3, 4

    def __init__(self, records: Sequence[Bp2Record], *, ahead_seconds: float = 0.0, piece_bytes: int = 100) -> None:
        super().__init__(records)
        self.is_measuring = False
        self.ahead_seconds = ahead_seconds
        self._piece_bytes = piece_bytes
        self._has_news = False

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        lepu_bp2w.decode_command(command)
        asked = LepuFrame.from_bytes(lepu_bp2w.NAME, command)
        answer = self._answer(asked.command, asked.payload)
        return () if answer is None else (LepuFrame(asked.command, answer).to_bytes(),)

    def _answer(self, command: int, payload: bytes) -> bytes | None:
        file = bytes(10) + b"".join(record.to_bytes() for record in self.records)
        if command == lepu_bp2w.INFO:
            return self._info()
        if command == lepu_bp2w.STATE:
            is_measuring, self._has_news = self.is_measuring or self._has_news, False
            return bytes(39) + bytes((self._MEASURING if is_measuring else self._IDLE,))
        if command == lepu_bp2w.SET_TIME:
            year, rest = int.from_bytes(payload[:2], "little"), payload[2:7]
            set_to = datetime(year, *rest)  # noqa: DTZ001 - the device knows no zone
            self.ahead_seconds = (set_to - datetime.now()).total_seconds()  # noqa: DTZ005 - as above
            return b""
        if command == lepu_bp2w.READ_START:
            return None if self.is_measuring else len(file).to_bytes(4, "little")
        if command == lepu_bp2w.READ_DATA:
            at = int.from_bytes(payload, "little")
            return file[at : at + self._piece_bytes]
        return b"" if command == lepu_bp2w.READ_END else None

    def _info(self) -> bytes:
        shown = datetime.now() + timedelta(seconds=self.ahead_seconds)  # noqa: DTZ005 - the device knows no zone
        info = bytearray(self._INFO_BYTES)
        info[9:17] = b"32120011"
        info[self._CLOCK_AT : self._CLOCK_AT + 2] = shown.year.to_bytes(2, "little")
        rest = bytes((shown.month, shown.day, shown.hour, shown.minute, shown.second))
        info[self._CLOCK_AT + 2 : self._CLOCK_AT + 7] = rest
        info[self._SERIAL_AT], info[38:48] = 10, b"0000000000"
        return bytes(info)

    def _record(self, measured: Sequence[Measurement]) -> Bp2Record:
        systolic, diastolic, pulse_bpm = pressures(measured)
        seconds = int(taken(measured).replace(tzinfo=UTC).timestamp())
        self._has_news = True
        return Bp2Record(seconds, 0, False, systolic, diastolic, _steps(measured, Metric.MEAN_PRESSURE), pulse_bpm)


class KnMemory(Kept[KnRecord]):
    """iHealth KN-550BT: lets in who answers its challenge, and says `per_frame` records at a time."""

    _CUFF, _DEVICE = 0xA0, 0xA1
    _CHALLENGE = bytes(range(60))

    def __init__(self, records: Sequence[KnRecord], *, per_frame: int = 2) -> None:
        super().__init__(records)
        self.acknowledged = 0
        self.is_let_in = False
        self._per_frame = per_frame
        self._written = b""
        self._told = 0
        self._sequence = 1

    def connected(self) -> None:
        """See `vendor_device.Script`."""
        self.is_let_in, self._told, self._written = False, 0, b""

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`. A command comes in pieces of 20 bytes."""
        self._written += command
        if len(self._written) < self._written[1] + 3:
            return ()
        written, self._written = self._written, b""
        ihealth_kn550.decode_command(written)
        payload = written[4:-1]
        if len(payload) < 2:
            self.acknowledged += 1
            return ()
        answer = self._answer(payload[1], payload[2:])
        return () if answer is None else (self._frame(answer),)

    def _answer(self, command: int, rest: bytes) -> bytes | None:
        if command == ihealth_kn550.IDENTIFY:
            return bytes((ihealth_kn550.CHALLENGE,)) + self._CHALLENGE
        if command == ihealth_kn550.ANSWER:
            self.is_let_in = rest == ihealth_kn550.answer_to(self._CHALLENGE)
            return bytes((ihealth_kn550.ADMITTED if self.is_let_in else ihealth_kn550.REFUSED,))
        if not self.is_let_in:
            return None
        if command == ihealth_kn550.COUNT:
            return bytes((command, 0, len(self.records)))
        if command == ihealth_kn550.RECORDS:
            part = self.records[self._told : self._told + self._per_frame]
            self._told += len(part)
            is_more = self._told < len(self.records)
            return bytes((command, is_more, 0)) + b"".join(record.to_bytes() for record in part)
        return None

    def _frame(self, answer: bytes) -> bytes:
        self._sequence = (self._sequence + 2) & 0xFF
        return ihealth_kn550.frame_of(self._CUFF, bytes((self._DEVICE,)) + answer, sequence=self._sequence)

    def _record(self, measured: Sequence[Measurement]) -> KnRecord:
        return KnRecord(taken(measured), *pressures(measured))


class Sp10Memory(Kept[SpirometryRecord]):
    """Contec SP10: tells one record after the other, each with its curve. `ended` is how the hub ended it."""

    _POINT = bytes(8)

    def __init__(self, records: Sequence[SpirometryRecord], *, points: int = 3) -> None:
        super().__init__(records)
        self.ended: bytes | None = None
        self._points = points
        self._place = 0

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[bytes]:
        """See `vendor_device.Script`."""
        contec_sp10.decode_command(command)
        first = command[0]
        openings = {0x80: b"\xf0\0", 0x83: b"\xf3\0\0", 0x82: b"\xf2" + bytes(7), 0x94: b"\xe4" + bytes(22)}
        if first in openings:
            return (openings[first],)
        if first == 0x90:
            return (b"\xe0" + bytes((len(self.records) & 0x7F, len(self.records) >> 7)) + bytes(7),)
        if first == 0x91 and command[1] in (0, 1):
            self._place = 0 if command[1] == 0 else self._place + 1
            return (self.records[self._place].to_bytes(),)
        if first == 0x91:
            self.ended = command
        if first == 0x92:
            number = self._place + 1
            head = bytes((0xE2, number & 0x7F, number >> 7, self._points & 0x7F, self._points >> 7))
            return (head + self._POINT * self._points,)
        return ()

    def _record(self, measured: Sequence[Measurement]) -> SpirometryRecord:
        return SpirometryRecord(
            len(self.records) + 1,
            taken(measured),
            _steps(measured, Metric.FVC, 100),
            _steps(measured, Metric.FEV1, 100),
            _steps(measured, Metric.PEAK_FLOW, 100 / 60),
        )


def _steps(measured: Sequence[Measurement], metric: Metric, steps_per_unit: float = 1) -> int:
    """0 where it was not measured, or its value is none."""
    return round(steps_per_unit * next((one.value or 0.0 for one in measured if one.metric is metric), 0.0))


def pressures(measured: Sequence[Measurement]) -> tuple[int, int, int]:
    """Systolic, diastolic and pulse, rounded."""
    systolic, diastolic = _steps(measured, Metric.SYSTOLIC_PRESSURE), _steps(measured, Metric.DIASTOLIC_PRESSURE)
    return systolic, diastolic, _steps(measured, Metric.PULSE_RATE)


def taken(measured: Sequence[Measurement]) -> datetime:
    """The time that the device gives it; its own of now where it gives none."""
    time = measured[0].device_time
    return datetime.now() if time is None else datetime.fromisoformat(time)  # noqa: DTZ005 - a device knows no zone


def bp2_record(taken: datetime, systolic: int, diastolic: int, *, account: int = 0) -> Bp2Record:
    """A record of the LP-BP2W with that wall time."""
    seconds = int(taken.replace(tzinfo=UTC).timestamp())
    return Bp2Record(seconds, account, False, systolic, diastolic, (systolic + 2 * diastolic) // 3, 66)
