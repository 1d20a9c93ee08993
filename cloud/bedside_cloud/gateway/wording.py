"""What a clinician reads: one sentence an alert, one text a value. Pure."""

from datetime import UTC, datetime

from bedside_cloud.contracts.alerts import Alert, AlertSource
from bedside_profiles.readings import METRICS, Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side

UNITS = {"/min": "/min", "mm[Hg]": "mmHg", "Cel": "°C"}
"""UCUM codes as people write them, where the two differ."""

SHORT = {
    Metric.SPO2: "SpO₂",
    Metric.PULSE_RATE: "Pulse",
    Metric.HEART_RATE: "Heart rate",
    Metric.SYSTOLIC_PRESSURE: "Systolic",
    Metric.DIASTOLIC_PRESSURE: "Diastolic",
    Metric.MEAN_PRESSURE: "Mean",
    Metric.BODY_TEMPERATURE: "Temperature",
    Metric.RESPIRATORY_RATE: "Respiration",
    Metric.GLUCOSE: "Glucose",
}
"""Names that fit above a number, in the order in which they stand on a bedside monitor."""

SHAPES = {Priority.HIGH: "▲", Priority.MEDIUM: "◆", Priority.LOW: "●", Priority.INFO: "■"}
"""A shape an urgency, because colour alone must not say it."""


def unit(metric: Metric) -> str:
    """The metric's unit as people write it."""
    code = METRICS[metric].unit
    return UNITS.get(code, code)


def number(metric: Metric, value: float | None, range_flag: RangeFlag | None) -> str:
    """A value at the metric's resolution; `HI` or `LO` where the device gave no number."""
    if range_flag is not None:
        return "HI" if range_flag is RangeFlag.ABOVE else "LO"
    if value is None:
        return "—"
    return f"{value:.{METRICS[metric].decimals}f}"


def duration(milliseconds: int) -> str:
    """A span in its two largest units."""
    seconds = max(0, milliseconds // 1000)
    for size, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{seconds} s"


def clock(utc_ms: int) -> str:
    """Time of day in UTC, with the zone."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%H:%M:%S UTC")


def condition_name(condition: str) -> str:
    """A condition as words."""
    return condition.replace("_", " ").replace(".", " ").capitalize()


def sentence(alert: Alert, now_ms: int) -> str:
    """What happened, against which limit, for how long, and on whose evidence."""
    lasted = (alert.cleared_at_ms or now_ms) - alert.onset_ms
    if alert.metric is None or alert.limit is None:
        what = condition_name(alert.condition)
    else:
        facts = METRICS[alert.metric]
        relation = "below" if alert.side is Side.BELOW else "above"
        value = number(alert.metric, alert.value, alert.range_flag)
        limit = number(alert.metric, alert.limit, None)
        verb = "is" if alert.active else "was"
        what = f"{facts.label} {value} {unit(alert.metric)} {verb} {relation} the limit of {limit} {unit(alert.metric)}"
    since = "for" if alert.active else "over after"
    return f"{what}, {since} {duration(lasted)}, since {clock(alert.onset_ms)}{_evidence(alert)}."


def _evidence(alert: Alert) -> str:
    names = {AlertSource.HUB: "the hub", AlertSource.CLOUD: "the stored readings"}
    said = [names[source] for source in alert.sources]
    return f"; found by {' and '.join(said)}" if said else ""


def acknowledgement(alert: Alert) -> str:
    """Who took it, or that nobody did."""
    if alert.acknowledged_at_ms is None:
        return "Nobody has acknowledged it."
    return f"Acknowledged by {alert.acknowledged_by} at {clock(alert.acknowledged_at_ms)}."
