"""A simulated patient: vital signs as a pure function of seed, scenario and second.

Plausible enough to try rules and displays on: the heart answers to falling saturation, breathing moves the pulse, and
nothing jumps. It is no model of a disease, and the desaturation is much quicker than most, so that a demonstration
need not last.
"""

import math
import random
from dataclasses import dataclass
from enum import StrEnum


class Scenario(StrEnum):
    """What happens to the patient from second 0 on."""

    STABLE = "stable"
    DESATURATION = "desaturation"
    """Below 88 % within about ten seconds, then around 82 %."""
    HYPERTENSIVE_CRISIS = "hypertensive_crisis"
    """Above 200/115 mmHg within about half a minute."""
    RECOVERY = "recovery"
    """From where a desaturation ends back to normal, within about a minute."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """One second of a patient. Pressures in mmHg, rates per minute, saturation and perfusion in %."""

    spo2: float
    pulse_rate: float
    systolic: float
    diastolic: float
    mean: float
    respiratory_rate: float
    perfusion_index: float
    rr_intervals_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Baseline:
    spo2: float
    pulse_rate: float
    systolic: float
    diastolic: float
    respiratory_rate: float
    perfusion_index: float


_LOWEST_SPO2 = 82.0
_PULSE_PER_SPO2 = 2.2
"""Beats a minute more for each percent of saturation less."""

_NOISE_KNOT_SECONDS = 6


def vitals(seed: int, scenario: Scenario, second: int) -> Vitals:
    """The patient of this seed, `second` seconds into the scenario. The same arguments give the same patient."""
    base = _baseline(seed)
    spo2 = base.spo2 - _saturation_lost(base, scenario, second) + 0.5 * _noise(seed, "spo2", second)
    spo2 = min(max(spo2, 60.0), 100.0)
    pressed = _crisis(scenario, second)
    respiratory_rate = base.respiratory_rate + 0.5 * max(0.0, base.spo2 - spo2) + _noise(seed, "breath", second)
    breathing = math.sin(2 * math.pi * second * base.respiratory_rate / 60)
    pulse = (
        base.pulse_rate
        + _PULSE_PER_SPO2 * max(0.0, base.spo2 - spo2)
        + 14 * pressed
        + 2.0 * breathing
        + 1.5 * _noise(seed, "pulse", second)
    )
    strain = max(0.0, base.spo2 - spo2)
    systolic = base.systolic + 0.8 * strain + 86 * pressed + 3 * _noise(seed, "systolic", second)
    diastolic = base.diastolic + 0.4 * strain + 44 * pressed + 2 * _noise(seed, "diastolic", second)
    perfusion = max(0.3, base.perfusion_index - 0.08 * strain + 0.2 * _noise(seed, "perfusion", second))
    return Vitals(
        spo2=spo2,
        pulse_rate=pulse,
        systolic=systolic,
        diastolic=diastolic,
        mean=diastolic + (systolic - diastolic) / 3,
        respiratory_rate=respiratory_rate,
        perfusion_index=perfusion,
        rr_intervals_ms=_rr_intervals(seed, second, pulse),
    )


def _baseline(seed: int) -> _Baseline:
    dice = random.Random(f"{seed}/baseline")
    return _Baseline(
        spo2=dice.uniform(96.0, 98.5),
        pulse_rate=dice.uniform(62, 80),
        systolic=dice.uniform(116, 132),
        diastolic=dice.uniform(70, 82),
        respiratory_rate=dice.uniform(12, 17),
        perfusion_index=dice.uniform(2.0, 5.0),
    )


def _saturation_lost(base: _Baseline, scenario: Scenario, second: int) -> float:
    depth = base.spo2 - _LOWEST_SPO2
    if scenario is Scenario.DESATURATION:
        return depth * (1 - math.exp(-((second / 6) ** 1.5)))
    if scenario is Scenario.RECOVERY:
        return depth * math.exp(-second / 15)
    return 0.0


def _crisis(scenario: Scenario, second: int) -> float:
    """From 0 to 1."""
    return 1 - math.exp(-second / 10) if scenario is Scenario.HYPERTENSIVE_CRISIS else 0.0


def _noise(seed: int, name: str, second: int) -> float:
    """Smooth, within ±1: a random value every few seconds and a straight line between."""
    knot, part = divmod(second, _NOISE_KNOT_SECONDS)
    before = random.Random(f"{seed}/{name}/{knot}").uniform(-1, 1)
    after = random.Random(f"{seed}/{name}/{knot + 1}").uniform(-1, 1)
    return before + (after - before) * part / _NOISE_KNOT_SECONDS


def _rr_intervals(seed: int, second: int, pulse: float) -> tuple[float, ...]:
    """As many intervals as beats ended in this second, a little uneven."""
    beats = math.floor((second + 1) * pulse / 60) - math.floor(second * pulse / 60)
    dice = random.Random(f"{seed}/rr/{second}")
    return tuple(60_000 / pulse * (1 + dice.gauss(0, 0.015)) for _ in range(beats))
