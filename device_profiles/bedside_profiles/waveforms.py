"""Waveforms: what a sensor sampled, piece by piece, as the device said it. What a hub keeps is `wire/waveform.py`.

Nobody is judged by a waveform here: no rule hears it. It is for the eyes of a clinician.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

MOST_SAMPLES = 4096
"""Of one piece: half a minute of an electrocardiogram."""


class Signal(StrEnum):
    """What was sampled."""

    ECG = "ecg"


@dataclass(frozen=True, slots=True)
class SignalFacts:
    """`unit` is UCUM and that of one step of a sample; `mdc` is the code of ISO/IEEE 11073-10101."""

    label: str
    unit: str
    mdc: int


SIGNALS: Mapping[Signal, SignalFacts] = MappingProxyType({Signal.ECG: SignalFacts("Electrocardiogram", "uV", 131328)})
"""A strap's two electrodes are no standard lead: the code is that of an electrocardiogram whose lead is not named."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Samples in a row, oldest first, as one frame held them. `device_time` is the device's own at the last of them."""

    signal: Signal
    rate_hz: float
    samples: tuple[int, ...]
    device_time: str | None = None
