"""The 5 byte packet of BCI, which Contec's older oximeters send over a serial line and BerryMed's over Bluetooth.

| byte | bits |
|---|---|
| 0 | 7 set: a packet begins; 6 beep; 5 see `probe_bit`; 4 no signal; 3-0 signal strength |
| 1 | pulse wave, 0 to 127 |
| 2 | 6 the pulse's highest bit; 5 searching for a pulse; 4 no finger; 3-0 bar graph |
| 3 | the pulse's other bits, in beats a minute; 255 in all: no result |
| 4 | SpO2 in %; 127: no result |

There is no checksum, and 60 to 100 packets come in a second, so that nothing is made of a single one while others
follow: a set is a second of packets, and its values are their medians.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.numbers import Special, median_low
from bedside_profiles.profile import Decoded, EncodeError, Fact, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality

PACKET_BYTES = 5
NO_PULSE = 0xFF
NO_SATURATION = 0x7F

_BEGINS = 0x80
_BEEP, _PROBE_BIT, _NO_SIGNAL = 0x40, 0x20, 0x10
_PULSE_HIGH, _SEARCHING, _NO_FINGER = 0x40, 0x20, 0x10

_MEMBERS = frozenset({Metric.SPO2, Metric.PULSE_RATE})

_WIDEST_SPREAD = {Metric.SPO2: 5, Metric.PULSE_RATE: 15}
"""How far a packet's value may lie from the median of its second. A tenth of the packets may lie further away."""

_SECONDS_WITHOUT_A_PACKET = 2

_MOST_BREAKS = 3
"""A set whose packets were broken oftener than each third is noise: the same line read at twice its rate holds enough
bytes that look like packets, and they agree, because they are always the same ones."""


@dataclass(frozen=True, slots=True)
class BciPacket:
    """One packet. `spo2` in % and `pulse_bpm` are None where the device has no result.

    `probe_bit` is an unplugged probe on a BerryMed and a falling saturation on a Contec.
    """

    spo2: int | None
    pulse_bpm: int | None
    wave: int = 0
    bar: int = 0
    strength: int = 0
    beep: bool = False
    probe_bit: bool = False
    no_signal: bool = False
    searching: bool = False
    no_finger: bool = False

    @classmethod
    def from_bytes(cls, profile: str, packet: bytes) -> "BciPacket":
        """Raises `DecodeError` in the name of `profile`."""
        if len(packet) != PACKET_BYTES:
            raise DecodeError(profile, f"a packet has 5 bytes, not {len(packet)}", packet)
        if [byte >= _BEGINS for byte in packet] != [True, False, False, False, False]:
            raise DecodeError(profile, "the first byte of a packet has bit 7 set, and no other", packet)
        pulse = (packet[2] & _PULSE_HIGH) << 1 | packet[3]
        return cls(
            spo2=None if packet[4] == NO_SATURATION else packet[4],
            pulse_bpm=None if pulse == NO_PULSE else pulse,
            wave=packet[1],
            bar=packet[2] & 0x0F,
            strength=packet[0] & 0x0F,
            beep=bool(packet[0] & _BEEP),
            probe_bit=bool(packet[0] & _PROBE_BIT),
            no_signal=bool(packet[0] & _NO_SIGNAL),
            searching=bool(packet[2] & _SEARCHING),
            no_finger=bool(packet[2] & _NO_FINGER),
        )

    def to_bytes(self) -> bytes:
        """The packet. Raises `EncodeError`."""
        spo2 = NO_SATURATION if self.spo2 is None else self.spo2
        pulse = NO_PULSE if self.pulse_bpm is None else self.pulse_bpm
        if not (0 <= spo2 < _BEGINS and 0 <= pulse <= NO_PULSE and 0 <= self.wave < _BEGINS):
            raise EncodeError("out of the packet's range")
        if not (0 <= self.bar <= 0x0F and 0 <= self.strength <= 0x0F):
            raise EncodeError("bar graph and strength have four bits")
        first = _BEGINS | self.strength
        first |= (_BEEP * self.beep) | (_PROBE_BIT * self.probe_bit) | (_NO_SIGNAL * self.no_signal)
        third = self.bar | (pulse & 0x80) >> 1 | (_SEARCHING * self.searching) | (_NO_FINGER * self.no_finger)
        return bytes((first, self.wave, third, pulse & 0x7F, spo2))


class BciFramer:
    """Finds packets in a stream, and makes one set of each `packets_a_set`. `profile` names the profile in the errors.

    `probe_bit_is_off` tells the dialect: whether `BciPacket.probe_bit` means that there is no probe.
    """

    def __init__(self, profile: str, packets_a_set: int, *, probe_bit_is_off: bool) -> None:
        self._profile = profile
        self._packets_a_set = packets_a_set
        self._probe_bit_is_off = probe_bit_is_off
        self._bytes = bytearray()
        self._packets: list[BciPacket] = []
        self._in_step = False
        self._passed_over = 0
        self._breaks = 0

    def feed(self, data: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Framer`. One error for one break, and one for each two seconds without any packet."""
        outcomes: list[Decoded | DecodeError] = []
        for byte in data:
            if byte >= _BEGINS:
                self._begin(byte, outcomes)
            elif self._bytes:
                self._bytes.append(byte)
                if len(self._bytes) == PACKET_BYTES:
                    self._packet(outcomes)
            else:
                self._stray(byte, outcomes)
        return tuple(outcomes)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`. Of a second that is not whole, what its packets say."""
        if self._packets:
            return self._set()
        if self._bytes:
            return DecodeError(self._profile, f"a packet cut off after {len(self._bytes)} bytes", bytes(self._bytes))
        if self._passed_over:
            return DecodeError(self._profile, f"no packet in {self._passed_over} bytes")
        return None

    def _begin(self, byte: int, outcomes: list[Decoded | DecodeError]) -> None:
        if self._bytes:
            self._passed_over += len(self._bytes)
            self._break(f"a packet of {len(self._bytes)} bytes", bytes(self._bytes), outcomes)
        self._bytes = bytearray((byte,))

    def _packet(self, outcomes: list[Decoded | DecodeError]) -> None:
        self._packets.append(BciPacket.from_bytes(self._profile, bytes(self._bytes)))
        self._bytes.clear()
        self._in_step = True
        self._passed_over = 0
        if len(self._packets) == self._packets_a_set:
            if self._breaks * _MOST_BREAKS > self._packets_a_set:
                reason = f"{self._breaks} breaks in one second: noise, or another speed?"
                outcomes.append(DecodeError(self._profile, reason, self._packets[-1].to_bytes()))
            else:
                outcomes.append(self._set())
            self._packets.clear()
            self._breaks = 0

    def _stray(self, byte: int, outcomes: list[Decoded | DecodeError]) -> None:
        """A byte too much: whether it stands behind the last packet or within it cannot be told."""
        if self._in_step and self._packets:
            self._packets.pop()
        self._passed_over += 1
        self._break("a packet of more than 5 bytes", bytes((byte,)), outcomes)

    def _break(self, problem: str, found: bytes, outcomes: list[Decoded | DecodeError]) -> None:
        self._breaks += 1
        if self._in_step:
            self._in_step = False
            outcomes.append(DecodeError(self._profile, problem, found))
        elif self._passed_over >= _SECONDS_WITHOUT_A_PACKET * self._packets_a_set * PACKET_BYTES:
            self._passed_over = 0
            reason = "no packet for two seconds: another format or another speed?"
            outcomes.append(DecodeError(self._profile, reason, found))

    def _set(self) -> Decoded:
        return set_of(self._packets, probe_bit_is_off=self._probe_bit_is_off)


def set_of(packets: Sequence[BciPacket], *, probe_bit_is_off: bool) -> Decoded:
    """The measurement set of the packets of about a second; one that says "off" speaks for all of them."""
    reason = None
    if any(packet.no_finger or (probe_bit_is_off and packet.probe_bit) for packet in packets):
        reason = NoReading.SENSOR_OFF
    elif any(packet.no_signal or packet.searching for packet in packets):
        reason = NoReading.NOT_A_NUMBER
    members = Members(Modality.CONTINUOUS)
    for metric, values in (
        (Metric.SPO2, [packet.spo2 for packet in packets]),
        (Metric.PULSE_RATE, [packet.pulse_bpm for packet in packets]),
    ):
        numbers = [value for value in values if value is not None]
        if reason is not None:
            members.withhold(metric, reason)
        elif len(numbers) < len(values):
            members.add(metric, Special.NAN)
        else:
            middle = median_low(numbers)
            far = sum(abs(number - middle) > _WIDEST_SPREAD[metric] for number in numbers)
            if far * 10 > len(numbers):
                members.withhold(metric, NoReading.ARTIFACT)
            else:
                members.add(metric, float(middle))
    return members.decoded(
        Fact("signal_strength", median_low(packet.strength for packet in packets)),
        Fact("pulse_wave", tuple([packet.wave for packet in packets])),
    )


def packet_of(measurements: Sequence[Measurement]) -> BciPacket:
    """The packet that says these measurements; without any, it says that there is no finger. Raises `EncodeError`."""
    if holding(measurements, _MEMBERS) is None:
        return BciPacket(None, None, no_finger=True)
    spo2, pulse = steps_of(measurements, Metric.SPO2), steps_of(measurements, Metric.PULSE_RATE)
    return BciPacket(spo2, pulse, strength=4)
