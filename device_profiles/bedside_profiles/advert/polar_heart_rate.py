"""Polar straps and bands (H7, H10): manufacturer data of Polar (0x006B), the heart rate about once a second.

State, a clock of the radio, the rate averaged fast, and the rate averaged slowly, one byte each; without the last one
the third byte is the slow one. State: bit 0 battery, bit 1 contact with the skin, bits 2 to 4 count the frames. The
bytes are rates, never R-R intervals. A first byte with bit 6 begins something else, whose length follows; a rate may
stand behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bedside_profiles.errors import DecodeError
from bedside_profiles.members import Members, holding, steps_of
from bedside_profiles.profile import Advert, AdvertProfile, Decoded, EncodeError, Fact, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality

NAME = "advert.polar_heart_rate"
COMPANY = 0x006B

_CONTACT, _OTHER_DATA, _BROADCASTS = 0x02, 0x40, 0x20
_SIZES = (3, 4)

_MEMBERS = frozenset({Metric.HEART_RATE})


@dataclass(frozen=True, slots=True)
class PolarRecord:
    """One advertisement: rates in beats a minute."""

    state: int
    radio_clock: int
    fast_bpm: int
    slow_bpm: int

    @classmethod
    def from_bytes(cls, payload: bytes) -> "PolarRecord":
        """Raises `DecodeError`."""
        if len(payload) not in _SIZES:
            raise DecodeError(NAME, f"a heart rate has 3 or 4 bytes, not {len(payload)}", payload)
        return cls(payload[0], payload[1], payload[2], payload[-1])

    def to_bytes(self) -> bytes:
        """The manufacturer data without the company. Raises `EncodeError`."""
        try:
            return bytes((self.state, self.radio_clock, self.fast_bpm, self.slow_bpm))
        except ValueError as error:
            raise EncodeError(str(error)) from error


def decode(advert: Advert) -> Decoded:
    """One advertisement. Raises `DecodeError`."""
    payload = advert.payload
    while payload and payload[0] & _OTHER_DATA:
        if len(payload) < 2 or len(payload) < 2 + payload[1]:
            raise DecodeError(NAME, "something else, cut off", advert.payload)
        payload = payload[2 + payload[1] :]
    if not payload and advert.payload:
        return Decoded()
    record = PolarRecord.from_bytes(payload)
    members = Members(Modality.CONTINUOUS)
    if record.state & _CONTACT:
        members.add(Metric.HEART_RATE, float(record.slow_bpm))
    else:
        members.withhold(Metric.HEART_RATE, NoReading.SENSOR_OFF)
    return members.decoded(
        Fact("fast_average_per_minute", record.fast_bpm), Fact("frame_counter", record.state >> 2 & 0x07)
    )


def encode(measurements: Sequence[Measurement]) -> bytes:
    """The manufacturer data that says this rate; without one, that the strap is not on the skin."""
    first = holding(measurements, _MEMBERS)
    rate = steps_of(measurements, Metric.HEART_RATE) or 0
    state = _BROADCASTS | (0 if first is None else _CONTACT)
    return PolarRecord(state, 0, rate, rate).to_bytes()


PROFILE = AdvertProfile(
    name=NAME,
    label="Polar heart rate, advertised",
    service_uuid=None,
    company=COMPANY,
    decode=decode,
    encode=encode,
    names=("polar",),
)
