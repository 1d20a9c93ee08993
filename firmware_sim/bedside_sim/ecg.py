"""An electrocardiogram of a simulated heart: five bells a beat. Pure.

After McSharry, Clifford, Tarassenko and Smith, "A dynamical model for generating synthetic electrocardiogram signals",
IEEE Trans. Biomed. Eng. 50(3), 2003, table I: where in a beat each wave lies, how high and how wide it is.
"""

import math

_WAVES = (
    (-math.pi / 3, 1.2, 0.25),
    (-math.pi / 12, -5.0, 0.1),
    (0.0, 30.0, 0.1),
    (math.pi / 12, -7.5, 0.1),
    (math.pi / 2, 0.75, 0.4),
)
"""Angle in the beat, height and width of P, Q, R, S and T."""

_MICROVOLT = 4000.0
"""Of one unit of height and width: an R wave of about 1.2 mV."""


def sample_uv(angle: float) -> int:
    """Microvolt at an angle of the beat: 0 is the R wave, from -pi to pi is one beat."""
    return round(
        sum(
            height * width * width * _MICROVOLT * math.exp(-((angle - place) ** 2) / (2 * width * width))
            for place, height, width in _WAVES
        )
    )


class Heart:
    """Goes on from sample to sample, at a rate that may change."""

    def __init__(self) -> None:
        self._angle = -math.pi

    def samples(self, count: int, rate_hz: float, beats_a_minute: float) -> tuple[int, ...]:
        """The next `count` samples, microvolt."""
        step = 2 * math.pi * beats_a_minute / 60 / rate_hz
        found = []
        for _ in range(count):
            found.append(sample_uv(self._angle))
            self._angle += step
            if self._angle > math.pi:
                self._angle -= 2 * math.pi
        return tuple(found)
