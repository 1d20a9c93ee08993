"""The sound itself, as samples. Pure.

A square-like wave of about 520 Hz wakes more sleepers, and more people who hear high tones badly, than the 3 kHz of
a usual beeper does; its odd harmonics let the ear find it. Bursts follow the scheme of medical alarms: five pulses in
groups of three and two, twice, for high priority; three for medium; one for low.
"""

import array
import io
import itertools
import math
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bedside_profiles.rules.priority import Priority

FUNDAMENTAL_HZ = 520
HARMONICS = (1, 3, 5, 7)
RATE_HZ = 16_000
AMPLITUDE = 0.8
RAMP_SECONDS = 0.01
"""How long a pulse swells and fades: a harder edge clicks."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Pulses as (start, length) in seconds, and the rest before they come again."""

    pulses: tuple[tuple[float, float], ...]
    rest_seconds: float

    @property
    def seconds(self) -> float:
        """From the first pulse's start to the last one's end."""
        return sum(self.pulses[-1])


_FIVE = ((0.0, 0.2), (0.4, 0.2), (0.8, 0.2), (1.4, 0.2), (1.8, 0.2))

BURSTS: Mapping[Priority, Burst] = MappingProxyType(
    {
        Priority.HIGH: Burst((*_FIVE, *((start + 2.8, length) for start, length in _FIVE)), 4.0),
        Priority.MEDIUM: Burst(((0.0, 0.25), (0.5, 0.25), (1.0, 0.25)), 15.0),
        Priority.LOW: Burst(((0.0, 0.3),), 60.0),
        Priority.INFO: Burst(((0.0, 0.3),), 60.0),
    }
)

GOT_IT = Burst(((0.0, 0.08), (0.14, 0.08)), 60.0)
"""Two short pulses, which no alarm has."""


def samples(burst: Burst) -> "array.array[int]":
    """Signed 16 bit mono at `RATE_HZ`."""
    made = array.array("h", bytes(2 * math.ceil(burst.seconds * RATE_HZ)))
    for start, length in burst.pulses:
        first, count = round(start * RATE_HZ), round(length * RATE_HZ)
        for place in range(count):
            edge = min(place, count - 1 - place) / (RAMP_SECONDS * RATE_HZ)
            if first + place < len(made):
                made[first + place] = round(32767 * AMPLITUDE * min(1.0, edge) * _square(place / RATE_HZ))
    return made


def wav(burst: Burst) -> bytes:
    """The burst as a WAV file."""
    return as_wav(samples(burst))


def silence(seconds: float) -> bytes:
    """Nothing, as a WAV file: what a self-test plays."""
    return as_wav(array.array("h", itertools.repeat(0, round(seconds * RATE_HZ))))


def as_wav(content: "array.array[int]") -> bytes:
    """Samples with a WAV header."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(content.tobytes())
    return target.getvalue()


def _square(seconds: float) -> float:
    """A square wave's first harmonics, scaled into -1 to 1."""
    whole = sum(math.sin(2 * math.pi * FUNDAMENTAL_HZ * n * seconds) / n for n in HARMONICS)
    return max(-1.0, min(1.0, whole / _PEAK))


_PEAK = max(sum(math.sin(2 * math.pi * step / 1000 * n) / n for n in HARMONICS) for step in range(1000))
