"""Where a time and a value stand in a trend, and which of them are written at its edges. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bedside_profiles.rules.thresholds import Side

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

TIME_STEPS_MS = (
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 4, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 7, 14, 28)),
)

MOST_TIMES, MOST_VALUES = 5, 5
"""More labels than these touch one another on a phone."""

ROOM = 0.16
"""Share of the height that stays free beyond an extreme value or a limit, for the line and the limit's name."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold and the side on which a value is out of range. `name` tells several in one picture apart."""

    value: float
    side: Side
    name: str = "limit"


@dataclass(frozen=True, slots=True)
class Scale:
    """A rectangle of time and values. `x` and `y` are shares from its left and its top edge."""

    from_ms: int
    until_ms: int
    lowest: float
    highest: float

    def x(self, at_ms: int) -> float:
        """Horizontal place; times beyond the edges stand on them."""
        share = (at_ms - self.from_ms) / max(1, self.until_ms - self.from_ms)
        return min(max(share, 0.0), 1.0)

    def y(self, value: float) -> float:
        """Vertical place; values beyond the edges stand on them."""
        share = (self.highest - value) / (self.highest - self.lowest)
        return min(max(share, 0.0), 1.0)


def scale_for(
    frame: tuple[float, float], bounds: tuple[float, float], values: Sequence[float], limits: Sequence[Limit]
) -> tuple[float, float]:
    """Lowest and highest value of a picture: the usual frame, wider where values or limits need it.

    It never reaches beyond `bounds`, which is what the quantity can be at all.
    """
    lowest, highest = min([frame[0], *values]), max([frame[1], *values])
    room = ROOM * (highest - lowest)
    lowest = min([lowest, *(limit.value - room for limit in limits)])
    highest = max([highest, *(limit.value + room for limit in limits)])
    step = value_step(lowest, highest) / 2
    return max(math.floor(lowest / step) * step, bounds[0]), min(math.ceil(highest / step) * step, bounds[1])


def value_step(lowest: float, highest: float) -> float:
    """A distance of 1, 2 or 5 times a power of ten that cuts the range into few parts."""
    rough = (highest - lowest) / MOST_VALUES
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)


def value_ticks(lowest: float, highest: float) -> list[float]:
    """Round values within the range."""
    step = value_step(lowest, highest)
    first = math.ceil(lowest / step - 1e-9)
    return [number * step for number in range(first, math.floor(highest / step + 1e-9) + 1)]


def time_ticks(from_ms: int, until_ms: int) -> list[tuple[int, str]]:
    """Round times in UTC within the range, each with its label: time of day, or the day."""
    span = until_ms - from_ms
    step = next((step for step in TIME_STEPS_MS if span / step <= MOST_TIMES), TIME_STEPS_MS[-1])
    first = -(-from_ms // step) * step
    return [(at_ms, _time_label(at_ms, step)) for at_ms in range(first, until_ms + 1, step)]


def _time_label(at_ms: int, step_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{at.day} {at:%b}" if step_ms >= DAY_MS else f"{at:%H:%M}"
