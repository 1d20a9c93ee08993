"""A trend as SVG: the readings, the limit, and the side of it that is out of range. Pure.

Gaps are gaps: no line is drawn across a time without readings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bedside_cloud.contracts.readings import TrendPoint
from bedside_cloud.gateway.wording import clock, number, unit
from bedside_profiles.readings import METRICS, Metric, RangeFlag
from bedside_profiles.rules.thresholds import Side

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 26
GAP_MS = 30_000
"""Two readings further apart than this are not joined by a line."""

MOST_POINTS = 720
"""More points than pixels only make the page slow; of each pixel's readings the lowest and highest stay."""

PADDING = 4.0
"""Least distance, in the metric's unit, from the extreme values to the frame."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold and the side on which a value is out of range."""

    value: float
    side: Side


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a time and a value stand in the picture."""

    from_ms: int
    until_ms: int
    lowest: float
    highest: float

    def x(self, at_ms: int) -> float:
        """Horizontal place."""
        share = (at_ms - self.from_ms) / max(1, self.until_ms - self.from_ms)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Vertical place; values beyond the frame stand on it."""
        share = (min(max(value, self.lowest), self.highest) - self.lowest) / (self.highest - self.lowest)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def trend_plot(
    metric: Metric, points: Sequence[TrendPoint], limits: Sequence[Limit], from_ms: int, until_ms: int
) -> str:
    """The picture as an SVG element with its own description; safe to put into a page."""
    scale = _scale(metric, points, limits, from_ms, until_ms)
    label = METRICS[metric].label
    parts = [
        f'<svg class="trend" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" preserveAspectRatio="xMidYMid meet">',
        f"<title>{escape(label)} from {clock(from_ms)} to {clock(until_ms)}</title>",
        f"<desc>{escape(_description(metric, points, limits))}</desc>",
        *(_out_of_range(limit, scale) for limit in limits),
        *_axes(metric, scale),
        *_lines(points, scale),
        *(_limit_line(metric, limit, scale) for limit in limits),
        "</svg>",
    ]
    return "".join(parts)


def thinned(points: Sequence[TrendPoint], scale: Scale) -> list[TrendPoint]:
    """At most two readings a pixel: the lowest and the highest, so that no dip disappears."""
    if len(points) <= MOST_POINTS:
        return list(points)
    columns: dict[int, list[TrendPoint]] = {}
    for point in points:
        if point.value is not None:
            columns.setdefault(int(scale.x(point.taken_at_ms)), []).append(point)
    kept: list[TrendPoint] = []
    for column in columns.values():
        ends = {id(one): one for one in (min(column, key=_value), max(column, key=_value))}
        kept += sorted(ends.values(), key=lambda one: one.taken_at_ms)
    return kept


def _value(point: TrendPoint) -> float:
    return 0.0 if point.value is None else point.value


def _scale(metric: Metric, points: Sequence[TrendPoint], limits: Sequence[Limit], from_ms: int, until_ms: int) -> Scale:
    values = [point.value for point in points if point.value is not None] + [limit.value for limit in limits]
    facts = METRICS[metric]
    lowest = min(values, default=facts.lowest) - PADDING
    highest = max(values, default=facts.highest) + PADDING
    return Scale(from_ms, until_ms, max(lowest, facts.lowest), min(highest, facts.highest))


def _description(metric: Metric, points: Sequence[TrendPoint], limits: Sequence[Limit]) -> str:
    values = [point for point in points if point.value is not None]
    if not values:
        return "No readings in this time."
    last = values[-1]
    text = f"Last value {number(metric, last.value, None)} {unit(metric)} at {clock(last.taken_at_ms)}"
    lowest, highest = min(map(_value, values)), max(map(_value, values))
    text += f"; from {number(metric, lowest, None)} to {number(metric, highest, None)} {unit(metric)}"
    for limit in limits:
        text += f"; limit {limit.side.value} {number(metric, limit.value, None)}"
    return text + "."


def _out_of_range(limit: Limit, scale: Scale) -> str:
    edge = scale.y(limit.value)
    top, bottom = (edge, HEIGHT - BOTTOM) if limit.side is Side.BELOW else (TOP, edge)
    height = round(max(0.0, bottom - top), 1)
    width = WIDTH - LEFT - RIGHT
    return f'<rect class="out-of-range" x="{LEFT}" y="{round(top, 1)}" width="{width}" height="{height}"/>'


def _limit_line(metric: Metric, limit: Limit, scale: Scale) -> str:
    y = scale.y(limit.value)
    text = f"limit {number(metric, limit.value, None)}"
    return (
        f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text class="limit-text" x="{WIDTH - RIGHT - 4}" y="{round(y - 5, 1)}" text-anchor="end">{text}</text>'
    )


def _axes(metric: Metric, scale: Scale) -> list[str]:
    bottom = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>']
    for value in (scale.lowest, (scale.lowest + scale.highest) / 2, scale.highest):
        text = number(metric, value, None)
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{scale.y(value) + 4}" text-anchor="end">{text}</text>')
    for at_ms, anchor in ((scale.from_ms, "start"), (scale.until_ms, "end")):
        place = scale.x(at_ms)
        parts.append(f'<text class="tick" x="{place}" y="{HEIGHT - 8}" text-anchor="{anchor}">{clock(at_ms)}</text>')
    return parts


def _lines(points: Sequence[TrendPoint], scale: Scale) -> list[str]:
    parts: list[str] = []
    run: list[TrendPoint] = []
    for point in thinned(points, scale):
        if point.value is None:
            parts += _run(run, scale)
            run = []
            parts.append(_flagged(point, scale))
            continue
        if run and point.taken_at_ms - run[-1].taken_at_ms > GAP_MS:
            parts += _run(run, scale)
            run = []
        run.append(point)
    return parts + _run(run, scale)


def _run(run: Sequence[TrendPoint], scale: Scale) -> list[str]:
    if not run:
        return []
    if len(run) == 1:
        return [f'<circle class="value" cx="{scale.x(run[0].taken_at_ms)}" cy="{scale.y(_value(run[0]))}" r="3"/>']
    places = " ".join(f"{scale.x(point.taken_at_ms)},{scale.y(_value(point))}" for point in run)
    return [f'<polyline class="value" points="{places}"/>']


def _flagged(point: TrendPoint, scale: Scale) -> str:
    above = point.range_flag is RangeFlag.ABOVE
    y = scale.y(scale.highest if above else scale.lowest)
    return f'<text class="flag" x="{scale.x(point.taken_at_ms)}" y="{y}">{"HI" if above else "LO"}</text>'
