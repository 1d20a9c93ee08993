"""A trend as SVG: the readings, the limits, the side of them that is out of range, and when alarms were on. Pure.

Gaps are gaps: no line is drawn across a time without readings. Places are percentages of a frame whose size
the style sheet sets, so that text keeps its size and lines their width from a phone to a wall; labels stand around it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bedside_cloud.contracts.readings import TrendPoint
from bedside_cloud.gateway.trend_scale import Limit, Scale, scale_for, time_ticks, value_ticks
from bedside_cloud.gateway.vitals import Vital
from bedside_cloud.gateway.wording import clock, number, quantity
from bedside_profiles.readings import METRICS, Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side

COLUMNS = 480
"""Of each of so many columns the lowest and the highest reading are drawn: more only makes the page slow."""

GAP_MS = 30_000
"""Two readings further apart than this are not joined by a line, unless columns are wider."""

GRID = 1000
"""Units of the lines' own coordinates, each way."""


@dataclass(frozen=True, slots=True)
class Spell:
    """When an alarm was on; `until_ms` is None while it is."""

    priority: Priority
    from_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Trend:
    """What one picture shows. `points` are in order of time, for each of the vital's metrics that was measured."""

    vital: Vital
    points: Mapping[Metric, Sequence[TrendPoint]]
    from_ms: int
    until_ms: int
    limits: Sequence[Limit] = ()
    spells: Sequence[Spell] = ()


def trend_plot(trend: Trend, *, times: bool = True) -> str:
    """The picture as an SVG element with its own description; safe to put into a page.

    `times` False leaves the labels of the time axis out, where another picture below has the same ones.
    """
    scale = _scale(trend)
    size = "trend" if times else "trend without-times"
    parts = [
        f'<svg class="{size}" role="img" data-from="{trend.from_ms}" data-until="{trend.until_ms}"'
        f' data-lowest="{_plain(scale.lowest)}" data-highest="{_plain(scale.highest)}"'
        f' data-decimals="{METRICS[trend.vital.metrics[0]].decimals}">',
        f"<title>{escape(trend.vital.label)} from {clock(trend.from_ms)} to {clock(trend.until_ms)}</title>",
        f"<desc>{escape(_description(trend))}</desc>",
        *(_out_of_range(limit, scale) for limit in trend.limits),
        *_axes(scale, times=times),
        *(_limit(limit, scale, trend.vital) for limit in trend.limits),
        *_readings(trend, scale),
        *(_spell(spell, scale) for spell in trend.spells),
        "</svg>",
    ]
    return "".join(parts)


def _scale(trend: Trend) -> Scale:
    values = [point.value for points in trend.points.values() for point in points if point.value is not None]
    facts = METRICS[trend.vital.metrics[0]]
    lowest, highest = scale_for(trend.vital.frame, (facts.lowest, facts.highest), values, trend.limits)
    return Scale(trend.from_ms, trend.until_ms, lowest, highest)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def _description(trend: Trend) -> str:
    said = []
    for metric, points in trend.points.items():
        values = [(point.value, point.taken_at_ms) for point in points if point.value is not None]
        if not values:
            continue
        (last, last_at_ms), lowest, highest = values[-1], min(values)[0], max(values)[0]
        said.append(
            f"{METRICS[metric].label}: last {quantity(metric, last)} at {clock(last_at_ms)}, "
            f"from {number(metric, lowest, None)} to {quantity(metric, highest)}."
        )
    if not said:
        return "No readings in this time."
    said += [f"{limit.name.capitalize()}: {limit.side.value} {_plain(limit.value)}." for limit in trend.limits]
    return " ".join(said)


def _plain(value: float) -> str:
    return f"{value:.6g}"


def _out_of_range(limit: Limit, scale: Scale) -> str:
    edge = scale.y(limit.value)
    top, height = (edge, 1 - edge) if limit.side is Side.BELOW else (0.0, edge)
    return f'<rect class="out-of-range" x="0" width="100%" y="{_percent(top)}" height="{_percent(height)}"/>'


def _limit(limit: Limit, scale: Scale, vital: Vital) -> str:
    """The line, and its name on the side where readings seldom are."""
    y, below = _percent(scale.y(limit.value)), limit.side is Side.BELOW
    name = f"{limit.name} {quantity(vital.metrics[0], limit.value)}"
    return (
        f'<line class="limit" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        f'<text class="limit-text" x="0" dx="6" y="{y}" dy="{14 if below else -5}">{escape(name)}</text>'
    )


def _axes(scale: Scale, *, times: bool) -> list[str]:
    parts = []
    for value in value_ticks(scale.lowest, scale.highest):
        y = _percent(scale.y(value))
        parts.append(
            f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
            f'<text class="tick" x="0" dx="-8" y="{y}" dy="4" text-anchor="end">{_plain(value)}</text>'
        )
    for at_ms, label in time_ticks(scale.from_ms, scale.until_ms):
        x = _percent(scale.x(at_ms))
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="100%"/>')
        if times:
            parts.append(f'<text class="tick" x="{x}" y="100%" dy="18" text-anchor="middle">{label}</text>')
    return parts


def _readings(trend: Trend, scale: Scale) -> list[str]:
    if not trend.vital.continuous:
        return _spots(trend, scale)
    gap_ms = max(GAP_MS, 3 * (trend.until_ms - trend.from_ms) // COLUMNS)
    lines: list[str] = []
    marks: list[str] = []
    for points in trend.points.values():
        for run in _runs(points, gap_ms):
            if run[0].value is None:
                marks.append(_flag(run[0], scale))
            elif len(run) == 1:
                marks.append(_dot(run[0].taken_at_ms, run[0].value, scale))
            else:
                lines.append(_line(run, scale))
    joined = f'<svg class="lines" viewBox="0 0 {GRID} {GRID}" preserveAspectRatio="none">{"".join(lines)}</svg>'
    return [joined, *marks] if lines else marks


def _runs(points: Sequence[TrendPoint], gap_ms: int) -> list[list[TrendPoint]]:
    """Readings that one line joins; one without a number stands alone."""
    runs: list[list[TrendPoint]] = []
    for point in points:
        before = runs[-1][-1] if runs else None
        alone = before is None or before.value is None or point.value is None
        if before is None or alone or point.taken_at_ms - before.taken_at_ms > gap_ms:
            runs.append([point])
        else:
            runs[-1].append(point)
    return runs


def _line(run: Sequence[TrendPoint], scale: Scale) -> str:
    places = " ".join(
        f"{scale.x(point.taken_at_ms) * GRID:.1f},{scale.y(point.value) * GRID:.1f}"
        for point in run
        if point.value is not None
    )
    return f'<polyline class="value" vector-effect="non-scaling-stroke" points="{places}"/>'


def _spots(trend: Trend, scale: Scale) -> list[str]:
    """Values taken by themselves: a dot each, and a bar through those of one measurement."""
    parts: list[str] = []
    measured: defaultdict[int, list[float]] = defaultdict(list)
    for points in trend.points.values():
        for point in points:
            if point.value is None:
                parts.append(_flag(point, scale))
            else:
                measured[point.taken_at_ms].append(point.value)
    for at_ms, values in measured.items():
        if len(values) > 1:
            x, top, bottom = (_percent(scale.x(at_ms)), _percent(scale.y(max(values))), _percent(scale.y(min(values))))
            parts.append(f'<line class="value" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        parts += [_dot(at_ms, value, scale) for value in values]
    return parts


def _dot(at_ms: int, value: float, scale: Scale) -> str:
    return f'<circle class="value" cx="{_percent(scale.x(at_ms))}" cy="{_percent(scale.y(value))}" r="2.5"/>'


def _flag(point: TrendPoint, scale: Scale) -> str:
    above = point.range_flag is RangeFlag.ABOVE
    place = 'y="0" dy="12">HI' if above else 'y="100%" dy="-4">LO'
    return f'<text class="flag" x="{_percent(scale.x(point.taken_at_ms))}" text-anchor="middle" {place}</text>'


def _spell(spell: Spell, scale: Scale) -> str:
    until_ms = scale.until_ms if spell.until_ms is None else spell.until_ms
    if until_ms < scale.from_ms or spell.from_ms > scale.until_ms:
        return ""
    left, right = scale.x(spell.from_ms), scale.x(until_ms)
    width = _percent(max(right - left, 0.004))
    place = f'x="{_percent(left)}" width="{width}" y="0" height="5"'
    return f'<rect class="spell {spell.priority.value}" {place}/>'
