"""The device's side of a serial protocol: what it says by itself, and what it answers. Pure, with the time passed in.

Whatever would inflate, delete or reset is no command that a side knows: it answers nothing, and `harm` counts it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bedside_profiles.profile import SerialProfile
from bedside_profiles.readings import Measurement
from bedside_profiles.serial import (
    bayer_contour,
    contec_cms50,
    nonin_9560,
    onetouch_ultra2,
    onetouch_ultraeasy,
    personal_health_device,
    suntech_nibp,
    taidoc,
)
from bedside_profiles.serial.bayer_contour import PartFrame
from bedside_profiles.serial.contec_cms50 import Command
from bedside_profiles.serial.onetouch_ultraeasy import LinkFrame
from bedside_profiles.serial.personal_health_report import configuration_report
from bedside_profiles.serial.taidoc import Kind, TaiDocFrame

Members = Sequence[Measurement]

BATTERY_WAS_OUT = datetime(2019, 1, 1)  # noqa: DTZ001 - a device's own wall time
"""What a device's clock shows until somebody sets it."""


class Side:
    """One that only speaks. `second` is any clock that runs evenly."""

    keeps = False
    """Whether it tells its results again to whoever opens the line later."""

    def __init__(self, profile: SerialProfile) -> None:
        self.profile = profile
        self.harm = 0

    def opened(self, second: float) -> bytes:
        """Somebody opened the line; what it says to that."""
        return b""

    def measured(self, members: Members, second: float) -> bytes:
        """It has measured; what it says of it by itself."""
        return self.profile.encode(members)

    def hear(self, data: bytes, second: float) -> bytes:
        """What the hub said; its answers."""
        return b""


class ContecSide(Side):
    """Tells live values once it is asked to, and stops when it hears nothing for more than five seconds."""

    _PATIENCE_SECONDS = 5.5

    def __init__(self, profile: SerialProfile) -> None:
        super().__init__(profile)
        self._alive_until = 0.0
        self._rest = b""

    def opened(self, second: float) -> bytes:
        """See `Side`."""
        self._alive_until, self._rest = 0.0, b""
        return b""

    def measured(self, members: Members, second: float) -> bytes:
        """See `Side`."""
        return self.profile.encode(members) if second < self._alive_until else b""

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        while len(self._rest) >= 9:
            frame, self._rest = self._rest[:9], self._rest[9:]
            facts = {fact.name: fact.value for fact in contec_cms50.decode_command(frame).facts}
            code = facts["command"]
            starts = code == Command.START_LIVE
            if starts or (code == Command.KEEP_ALIVE and second < self._alive_until):
                self._alive_until = second + self._PATIENCE_SECONDS
            elif code == Command.STOP_LIVE:
                self._alive_until = 0.0
            elif "command_name" not in facts:
                self.harm += 1
        return b""


class NoninSide(Side):
    """Acknowledges a format in its first five seconds, and has a clock."""

    _LISTENS_SECONDS = 5.0

    def __init__(self, profile: SerialProfile) -> None:
        super().__init__(profile)
        self.clock = BATTERY_WAS_OUT
        self._opened_at = 0.0
        self._rest = b""

    def opened(self, second: float) -> bytes:
        """See `Side`."""
        self._opened_at, self._rest = second, b""
        return b""

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        said = b""
        while len(self._rest) >= 4 and len(self._rest) >= self._rest[2] + 4:
            size = self._rest[2] + 4
            frame, self._rest = self._rest[:size], self._rest[size:]
            facts = {fact.name: fact.value for fact in nonin_9560.decode_command(frame).facts}
            if facts["command"] == "select_format" and second < self._opened_at + self._LISTENS_SECONDS:
                said += b"\x06" if facts["data_format"] in (2, 7, 8, 13) else b"\x15"
            elif facts["command"] == "set_time":
                self.clock = datetime.fromisoformat(str(facts["set_clock"]))
            elif facts["command"] == "tell_time":
                # The answer is the command that would set this time, under another number.
                said += b"\x02\xf2" + nonin_9560.set_time(self.clock)[2:]
        return said


class Memory(Side):
    """A meter: it keeps its results, newest last, and tells them when it is asked."""

    keeps = True

    def __init__(self, profile: SerialProfile) -> None:
        super().__init__(profile)
        self.results: list[bytes] = []
        """Each as its profile encodes it."""
        self._rest = b""

    def opened(self, second: float) -> bytes:
        """See `Side`."""
        self._rest = b""
        return b""

    def measured(self, members: Members, second: float) -> bytes:
        """See `Side`."""
        self.results.append(self.profile.encode(members))
        return b""


_TAIDOC_MODELS = {Kind.GLUCOSE: "4279", Kind.PRESSURE: "3128", Kind.TEMPERATURE: "1241"}


class TaiDocSide(Memory):
    """Model, count, time and value of a result, clock."""

    def __init__(self, profile: SerialProfile, kind: Kind) -> None:
        super().__init__(profile)
        self.clock = BATTERY_WAS_OUT
        self._model = bytes.fromhex(_TAIDOC_MODELS[kind])[::-1] + bytes(2)

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        said = b""
        while len(self._rest) >= taidoc.FRAME_BYTES:
            raw, self._rest = self._rest[: taidoc.FRAME_BYTES], self._rest[taidoc.FRAME_BYTES :]
            facts = {fact.name: fact.value for fact in taidoc.decode_command(raw).facts}
            said += self._answer(str(facts.get("command_name", "")), TaiDocFrame.from_bytes(raw))
        return said

    def _answer(self, name: str, asked: TaiDocFrame) -> bytes:
        place = int.from_bytes(asked.data[:2], "little")
        if name in ("tell_time_of_result", "tell_result") and place < len(self.results):
            result = self.results[-1 - place]
            half = taidoc.FRAME_BYTES
            return result[:half] if name == "tell_time_of_result" else result[half:]
        if name == "set_clock":
            self.clock = taidoc.decode_moment(asked.data)
        answers = {
            "tell_model": self._model,
            "tell_count": len(self.results).to_bytes(2, "little") + bytes(2),
            "tell_clock": taidoc.encode_moment(self.clock),
            "set_clock": taidoc.encode_moment(self.clock),
        }
        if name not in answers:
            self.harm += 1
            return b""
        return TaiDocFrame(asked.command, answers[name]).to_bytes()


class Ultra2Side(Memory):
    """Clock and dump."""

    _CLOCK = onetouch_ultra2.summed('F "SAT","06/15/24","08:00:00   "').encode() + b"\r\n"

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        said = b""
        while b"\r" in (rest := self._rest.removeprefix(b"\x11\r")):
            command, _, self._rest = rest.partition(b"\r")
            if command == b"DMF":
                said += self._CLOCK
            elif command == b"DMP":
                heading = onetouch_ultra2.summed(f'P {len(self.results):03d},"SIMULATED","MG/DL "')
                said += heading.encode() + b"\r\n" + b"".join(reversed(self.results))
            else:
                self.harm += 1
        return said


class UltraEasySide(Memory):
    """The link with its sequence bits, clock, count and records."""

    _CLOCK = LinkFrame(b"\x05\x06" + (1718438400).to_bytes(4, "little"))

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        said = b""
        while len(self._rest) >= 2 and len(self._rest) >= self._rest[1]:
            size = self._rest[1]
            raw, self._rest = self._rest[:size], self._rest[size:]
            if onetouch_ultraeasy.frame_problem(raw) is None:
                said += self._answer(LinkFrame.from_bytes(raw))
        return said

    def _answer(self, heard: LinkFrame) -> bytes:
        if heard.control & 0x08:
            return LinkFrame(b"", 0x0C).to_bytes()
        if not heard.message:
            return b""
        sent, expected = heard.control & 0x01, heard.control >> 1 & 0x01
        if sent != expected:
            return b""
        acknowledgement = LinkFrame(b"", 0x04 | (sent ^ 1) << 1 | sent).to_bytes()
        return acknowledgement + LinkFrame(self._message(heard.message), (sent ^ 1) << 1 | sent).to_bytes()

    def _message(self, asked: bytes) -> bytes:
        place = int.from_bytes(asked[2:4], "little")
        if asked == onetouch_ultraeasy.ASK_CLOCK:
            return self._CLOCK.message
        if asked[:2] == onetouch_ultraeasy.ASK_RECORD and place == onetouch_ultraeasy.RECORD_COUNT:
            return b"\x05\x0f" + len(self.results).to_bytes(2, "little")
        if asked[:2] == onetouch_ultraeasy.ASK_RECORD and place < len(self.results):
            return LinkFrame.from_bytes(self.results[-1 - place]).message
        self.harm += 1
        return b"\x05\x07"


class ContourSide(Memory):
    """Sends what it has to whoever answers, a frame at a time."""

    def __init__(self, profile: SerialProfile) -> None:
        super().__init__(profile)
        self._next = 0

    def opened(self, second: float) -> bytes:
        """See `Side`."""
        self._next = 0
        return b"\x05"

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        said = b""
        for byte in data:
            if byte == bayer_contour.ACKNOWLEDGE[0]:
                said += self._frame(self._next)
                self._next += 1
            elif byte == bayer_contour.ASK_AGAIN[0] and self._next:
                said += self._frame(self._next - 1)
            elif byte == bayer_contour.HAS_SENT[0]:
                said += self.opened(second)
            elif byte != bayer_contour.ASK_AGAIN[0]:
                self.harm += 1
        return said

    def _frame(self, place: int) -> bytes:
        if place > len(self.results):
            return b"\x04" if place == len(self.results) + 1 else b""
        if place == len(self.results):
            return PartFrame((place + 1) % 8, "L|1||N\r", more=False).to_bytes()
        text = PartFrame.from_bytes(self.results[place][1:]).text
        return PartFrame((place + 1) % 8, text, more=False).to_bytes()


class SunTechSide(Side):
    """Says that a measurement is over, and tells the last result. Its pump is never the hub's to start."""

    def __init__(self, profile: SerialProfile) -> None:
        super().__init__(profile)
        self._result = b""
        self._rest = b""

    def measured(self, members: Members, second: float) -> bytes:
        """See `Side`."""
        self._result = self.profile.encode(members)
        return self.profile.encode(())

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        size = len(suntech_nibp.ask_result())
        said = b""
        while len(self._rest) >= size:
            frame, self._rest = self._rest[:size], self._rest[size:]
            if frame == suntech_nibp.ask_result():
                said += self._result
            else:
                self.harm += 1
        return said


class PersonalHealthSide(Side):
    """Asks to be associated, tells its configuration, and forgets a report only when it was confirmed."""

    _REQUEST = bytes.fromhex(
        "e2000032 80000000 0001002a 50790026 80000000 a000 80000000 00000000 00800000 0008 1122334455667788"
        " 4000 0001 0100 00000000"
    )

    def __init__(self, profile: SerialProfile, types: Mapping[int, int]) -> None:
        super().__init__(profile)
        self.unconfirmed: list[bytes] = []
        self._types = types
        self._associated = False
        self._configured = False
        self._rest = b""

    def opened(self, second: float) -> bytes:
        """See `Side`."""
        self._associated = self._configured = False
        self._rest = b""
        return self._REQUEST

    def measured(self, members: Members, second: float) -> bytes:
        """See `Side`."""
        self.unconfirmed.append(self.profile.encode(members))
        return self.unconfirmed[0] if self._configured and len(self.unconfirmed) == 1 else b""

    def hear(self, data: bytes, second: float) -> bytes:
        """See `Side`."""
        self._rest += data
        said = b""
        while len(self._rest) >= 4 and len(self._rest) >= (size := int.from_bytes(self._rest[2:4], "big") + 4):
            apdu, self._rest = self._rest[:size], self._rest[size:]
            said += self._answer(apdu)
        return said

    def _answer(self, apdu: bytes) -> bytes:
        if apdu[:2] == b"\xe3\x00" and apdu[4:6] == b"\x00\x03":
            self._associated = True
            return configuration_report(1, 0x4000, self._types)
        if apdu[:2] != b"\xe7\x00" or not self._associated:
            self.harm += 1
            return b""
        if self._configured and self.unconfirmed:
            self.unconfirmed.pop(0)
        self._configured = True
        return self.unconfirmed[0] if self.unconfirmed else b""


_OXIMETER_TYPES = {1: 19384, 10: 18458}
_PRESSURE_TYPES = {1: 18948, 2: 18474}
_SCALE_TYPES = {1: 57664, 2: 57680}

_SIDES: Mapping[str, Callable[[SerialProfile], Side]] = {
    contec_cms50.NAME: ContecSide,
    nonin_9560.NAME: NoninSide,
    taidoc.NAME: lambda profile: TaiDocSide(profile, Kind.GLUCOSE),
    taidoc.PRESSURE.name: lambda profile: TaiDocSide(profile, Kind.PRESSURE),
    taidoc.TEMPERATURE.name: lambda profile: TaiDocSide(profile, Kind.TEMPERATURE),
    onetouch_ultra2.NAME: Ultra2Side,
    onetouch_ultraeasy.NAME: UltraEasySide,
    bayer_contour.NAME: ContourSide,
    suntech_nibp.NAME: SunTechSide,
    personal_health_device.OXIMETER.name: lambda profile: PersonalHealthSide(profile, _OXIMETER_TYPES),
    personal_health_device.BLOOD_PRESSURE.name: lambda profile: PersonalHealthSide(profile, _PRESSURE_TYPES),
    personal_health_device.SCALE.name: lambda profile: PersonalHealthSide(profile, _SCALE_TYPES),
}


def side_of(profile: SerialProfile) -> Side:
    """The device's side; one that only speaks, for profiles whose device is not spoken to."""
    return _SIDES.get(profile.name, Side)(profile)
