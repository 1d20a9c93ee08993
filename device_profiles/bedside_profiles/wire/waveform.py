"""A piece of a waveform: the item of its lane. It is no reading: it has no one value, and no rule hears it."""

from dataclasses import dataclass
from typing import Annotated

from bedside_profiles.bounds import Between, Shape
from bedside_profiles.readings import Attribution, ClockQuality
from bedside_profiles.waveforms import MOST_SAMPLES, Signal
from bedside_profiles.wire.kinds import BootId, DeviceId, MonotonicMs, Seq, UtcMs

Sample = Annotated[int, Between(-(2**31), 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Waveform:
    """Samples in a row, oldest first, in the unit that `SIGNALS` names.

    `taken_at_ms` is when the first of them was taken, `monotonic_ms` when the hub heard them; `device_time` is the
    device's own time at the last one, ISO 8601 without a zone.
    """

    seq: Seq
    device_id: DeviceId
    signal: Signal
    rate_hz: Annotated[float, Between(0.1, 10_000)]
    samples: tuple[Sample, ...]
    taken_at_ms: UtcMs
    boot_id: BootId
    monotonic_ms: MonotonicMs
    clock_quality: ClockQuality
    device_time: Annotated[str, Shape(32)] | None = None
    attribution: Attribution = Attribution.ASSIGNED

    def __post_init__(self) -> None:
        if not 0 < len(self.samples) <= MOST_SAMPLES:
            raise ValueError(f"a waveform has 1 to {MOST_SAMPLES} samples")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate_hz
