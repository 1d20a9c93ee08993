"""What a clinician reads: one sentence an alert, one text a value. Pure."""

from datetime import UTC, date, datetime

from bedside_cloud.contracts.alerts import Alert, AlertSource
from bedside_cloud.gateway.vitals import VITAL_OF, unit
from bedside_profiles.readings import METRICS, Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side, ThresholdRule
from bedside_profiles.wire.alarm import AlarmKind

SHAPES = {Priority.HIGH: "▲", Priority.MEDIUM: "◆", Priority.LOW: "●", Priority.INFO: "■"}
"""A shape an urgency, because colour alone must not say it."""

TEST_SHAPE = "□"

NOW_MS = 5_000
"""A younger value is of now: a counter that runs from 0 to 4 says nothing and never rests."""

NO_BREAK = "\N{NO-BREAK SPACE}"


def number(metric: Metric, value: float | None, range_flag: RangeFlag | None) -> str:
    """A value at the metric's resolution; `HI` or `LO` where the device gave no number."""
    if range_flag is not None:
        return "HI" if range_flag is RangeFlag.ABOVE else "LO"
    if value is None:
        return "—"
    return f"{value:.{METRICS[metric].decimals}f}"


def quantity(metric: Metric, value: float | None, range_flag: RangeFlag | None = None) -> str:
    """A value with its unit, on one line: `84 %`, `112/min`."""
    text = unit(metric)
    return number(metric, value, range_flag) + (text if text.startswith("/") else NO_BREAK + text)


def duration(milliseconds: int) -> str:
    """A span in its two largest units."""
    seconds = max(0, milliseconds // 1000)
    for size, name, smaller, smaller_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{seconds} s"


def ago(milliseconds: int) -> str:
    """How old a value is: as exact as its age lets matter."""
    if milliseconds < NOW_MS:
        return "now"
    if 60_000 <= milliseconds < 3_600_000:
        milliseconds -= milliseconds % 60_000
    return f"{duration(milliseconds)} ago"


def clock(utc_ms: int) -> str:
    """Time of day in UTC, with the zone."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%H:%M:%S UTC")


def moment(utc_ms: int, now_ms: int) -> str:
    """Time of day in UTC, with the day when it is not today."""
    then, now = (datetime.fromtimestamp(at / 1000, UTC) for at in (utc_ms, now_ms))
    return clock(utc_ms) if then.date() == now.date() else f"{then.day} {then:%b %H:%M} UTC"


def birth(iso: str, now_ms: int) -> str:
    """A birth date and the age that follows from it: `17 May 1948 (78 y)`."""
    born, today = date.fromisoformat(iso), datetime.fromtimestamp(now_ms / 1000, UTC).date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return f"{born.day} {born:%b %Y} ({years}{NO_BREAK}y)"


TECHNICAL = {
    "no_data": "No data from {device}",
    "sensor_off": "Sensor off the body: {device}",
    "battery_low": "Battery low: {device}",
    "clock_fault": "Clock not set: {device}",
    "cannot_alert_patient": "The hub cannot alert the patient: its sound does not work",
    "store_failing": "The hub's storage fails: what it measures is in memory only, and lost if its power goes",
    "certificate_ends": "The hub's certificate is not renewed: it will be cut off, and goes on alarming at home",
    "alarm_test": "Somebody at home tests the alarm: acknowledge it, and they are told that it reached you",
    "patient_calls": "The patient asks for a call",
    "plan_incomplete": "The hub follows only a part of the plan: it needs a newer version",
}
"""What keeps the patient from being measured or alerted, as a clinician reads it."""


def technical_name(alert: Alert) -> str:
    """A technical alert as words, with the device it is about."""
    words = TECHNICAL.get(alert.condition)
    if words is None:
        device = f": {alert.device_id}" if alert.device_id else ""
        return alarm_name(alert.condition, None, None) + device
    return words.format(device=alert.device_id or "the hub")


def condition_name(condition: str) -> str:
    """A condition as words."""
    return condition.replace("_", " ").replace(".", " ").capitalize()


def alarm_name(condition: str, metric: Metric | None, side: Side | None) -> str:
    """What an alarm is called: `Oxygen saturation low`."""
    if metric is None or side is None:
        return condition_name(condition)
    return f"{METRICS[metric].label} {'low' if side is Side.BELOW else 'high'}"


def patience(rule: ThresholdRule) -> str:
    """How long a rule waits before it fires."""
    vital = VITAL_OF.get(rule.metric)
    if vital is None or vital.continuous:
        waits = f"after {duration(rule.onset_delay_ms)}" if rule.onset_delay_ms else "at once"
    else:
        waits = f"when a repeat confirms it, or none comes within {duration(rule.spot_repeat_ms)}"
    if rule.extreme_limit is None or waits == "at once":
        return waits
    return f"{waits}; at once from {quantity(rule.metric, rule.extreme_limit)}"


def headline(alert: Alert) -> str:
    """What happened, against which limit."""
    if alert.kind is AlarmKind.TECHNICAL:
        return technical_name(alert)
    if alert.metric is None or alert.limit is None:
        return alarm_name(alert.condition, alert.metric, alert.side)
    if alert.side is None:
        change, value = quantity(alert.metric, alert.limit), quantity(alert.metric, alert.value, alert.range_flag)
        return f"{METRICS[alert.metric].label} changed by {change} or more, to {value}"
    label, relation = METRICS[alert.metric].label, alert.side.value
    limit = f"the limit of {quantity(alert.metric, alert.limit)}"
    if alert.range_flag is not None:
        return f"{label} was {alert.range_flag.value} what the device can measure, {relation} {limit}"
    vital = VITAL_OF.get(alert.metric)
    if vital is None or vital.continuous:
        verb = "fell to" if alert.side is Side.BELOW else "rose to"
    else:
        verb = "was"
    return f"{label} {verb} {quantity(alert.metric, alert.value)}, {relation} {limit}"


def lasting(alert: Alert, now_ms: int) -> str:
    """For how long it has been, or was, so."""
    return duration((alert.cleared_at_ms or now_ms) - alert.onset_ms)


def evidence(alert: Alert) -> str:
    """Since when, and on whose word; for one that is over, until when."""
    if not alert.active:
        return f"from {clock(alert.onset_ms)} to {clock(alert.cleared_at_ms or alert.onset_ms)}"
    names = {AlertSource.HUB: "the hub", AlertSource.CLOUD: "the stored readings"}
    said = " and ".join(names[source] for source in alert.sources)
    return f"since {clock(alert.onset_ms)}" + (f", found by {said}" if said else "")


def sentence(alert: Alert, now_ms: int) -> str:
    """What happened, against which limit, for how long, and on whose evidence."""
    lasted = f"for {lasting(alert, now_ms)}" if alert.active else f"over after {lasting(alert, now_ms)}"
    return f"{headline(alert)}, {lasted}, {evidence(alert)}."


def acknowledgement(alert: Alert) -> str:
    """Who took it, or that nobody did."""
    if alert.acknowledged_at_ms is None:
        return "Nobody has acknowledged it yet."
    return f"Acknowledged by {alert.acknowledged_by} at {clock(alert.acknowledged_at_ms)}."
