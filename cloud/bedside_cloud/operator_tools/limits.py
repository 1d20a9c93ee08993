"""Sets of limits to begin with. A clinician sets a patient's own; these only spare the typing.

Oxygen saturation follows the NHS's bands for oximetry at home (92 % and below is urgent), heart rate and systolic
pressure the values that score 3 in NEWS2, the upper pressures the usual definition of a hypertensive crisis. Delays
are for continuous signals; see `docs/hazards.md` for why there are any.
"""

from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side, ThresholdRule


def _rule(
    metric: Metric,
    side: Side,
    limit: float,
    *,
    clear: float,
    extreme: float,
    delay_seconds: int,
    priority: Priority = Priority.HIGH,
) -> ThresholdRule:
    low_or_high = "low" if side is Side.BELOW else "high"
    return ThresholdRule(
        rule_id=f"{metric.value}-{low_or_high}",
        version=1,
        condition=f"{metric.value}_{low_or_high}",
        metric=metric,
        side=side,
        limit=limit,
        priority=priority,
        onset_delay_ms=delay_seconds * 1000,
        clear_limit=clear,
        clear_delay_ms=delay_seconds * 1000,
        extreme_limit=extreme,
    )


ADULT = (
    _rule(Metric.SPO2, Side.BELOW, 93, clear=94, extreme=80, delay_seconds=15),
    _rule(Metric.PULSE_RATE, Side.ABOVE, 130, clear=120, extreme=160, delay_seconds=30),
    _rule(Metric.PULSE_RATE, Side.BELOW, 41, clear=45, extreme=30, delay_seconds=30),
    _rule(Metric.HEART_RATE, Side.ABOVE, 130, clear=120, extreme=160, delay_seconds=30),
    _rule(Metric.HEART_RATE, Side.BELOW, 41, clear=45, extreme=30, delay_seconds=30),
    _rule(Metric.SYSTOLIC_PRESSURE, Side.ABOVE, 180, clear=170, extreme=220, delay_seconds=0),
    _rule(Metric.SYSTOLIC_PRESSURE, Side.BELOW, 91, clear=95, extreme=70, delay_seconds=0),
    _rule(Metric.DIASTOLIC_PRESSURE, Side.ABOVE, 120, clear=110, extreme=140, delay_seconds=0),
)

TEMPLATES: dict[str, tuple[ThresholdRule, ...]] = {"adult": ADULT}
"""By the name that `plan set --template` takes."""
