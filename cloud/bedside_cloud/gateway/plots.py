"""The trends of one patient, fetched and drawn: what led to an alert, and every vital sign on one time axis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bedside_cloud.contracts.alerts import Alert
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.gateway.care import Care
from bedside_cloud.gateway.trend_plot import COLUMNS, Spell, Trend, trend_plot
from bedside_cloud.gateway.trend_scale import DAY_MS, HOUR_MS, MINUTE_MS, Limit
from bedside_cloud.gateway.viewers import Viewer
from bedside_cloud.gateway.vitals import VITAL_OF, VITALS, Vital
from bedside_profiles.readings import METRICS, Metric
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmKind

SPANS_MS = {
    "15min": 15 * MINUTE_MS,
    "1h": HOUR_MS,
    "4h": 4 * HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
}
USUAL_SPAN = "4h"

ALERT_LEAD_MS = 5 * MINUTE_MS
"""How much of the trend before an alert's onset is shown with it, and after one that is over."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture of a page of trends."""

    vital: Vital
    picture: Markup


async def alert_plot(care: Care, viewer: Viewer, alert: Alert, now_ms: int) -> Plot | None:
    """The trend that led to an alert, with its limit; None for an alert without a number."""
    if alert.metric is None or alert.limit is None or alert.metric not in VITAL_OF:
        return None
    vital = VITAL_OF[alert.metric]
    from_ms = alert.onset_ms - ALERT_LEAD_MS
    until_ms = now_ms if alert.active else min(now_ms, (alert.cleared_at_ms or now_ms) + ALERT_LEAD_MS)
    points = await care.shapes(viewer, alert.patient_id, vital.metrics, from_ms, until_ms, COLUMNS)
    # What a rate is held against is a change: it has no place on the axis.
    limits = () if alert.side is None else (_limit(vital, alert.metric, alert.limit, alert.side),)
    trend = Trend(vital, points, from_ms, until_ms, limits, _spells([alert]))
    return Plot(vital, _drawn(trend, times=True))


async def trend_plots(
    care: Care, viewer: Viewer, patient_id: str, plan: Plan | None, alerts: Sequence[Alert], from_ms: int, until_ms: int
) -> list[Plot]:
    """Every vital sign that was measured in that time, one below the other; the last one bears the times."""
    all_points = await care.shapes(viewer, patient_id, tuple(VITAL_OF), from_ms, until_ms, COLUMNS)
    trends = []
    for vital in VITALS:
        points = {metric: all_points[metric] for metric in vital.metrics if all_points[metric]}
        if points:
            own = [alert for alert in alerts if alert.kind is AlarmKind.PHYSIOLOGICAL and alert.metric in vital.metrics]
            trends.append(Trend(vital, points, from_ms, until_ms, _limits(vital, plan), _spells(own)))
    return [Plot(trend.vital, _drawn(trend, times=trend is trends[-1])) for trend in trends]


def _limits(vital: Vital, plan: Plan | None) -> tuple[Limit, ...]:
    if plan is None or not plan.active:
        return ()
    rules = [rule for rule in plan.rules if rule.metric in vital.metrics]
    return tuple(_limit(vital, rule.metric, rule.limit, rule.side) for rule in rules)


def _limit(vital: Vital, metric: Metric, value: float, side: Side) -> Limit:
    if len(vital.metrics) == 1:
        return Limit(value, side)
    return Limit(value, side, f"{METRICS[metric].label.split()[0].lower()} limit")


def _spells(alerts: Iterable[Alert]) -> tuple[Spell, ...]:
    return tuple(Spell(alert.priority, alert.onset_ms, alert.cleared_at_ms) for alert in alerts)


def _drawn(trend: Trend, *, times: bool) -> Markup:
    # `trend_plot` escapes what it puts in.
    return Markup(trend_plot(trend, times=times))  # noqa: S704
