"""Rate rules: a rise or fall by an amount within a window, for continuous signals and for scales alike.

Compared are points, not samples: a point is the median of `minimum_samples` samples in a row, so one artefact among
three changes nothing. A window belongs to one device: the difference between two devices is no change of the patient.
Times are milliseconds on whichever time line the caller keeps.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from bedside_profiles.bounds import Between, Name
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Change, Sample

POINTS = 32
"""Points kept of a window: closer ones are left out, so that a state stays small however fast the device speaks."""


class Direction(StrEnum):
    """Which way the value moves when the rule fires."""

    RISE = "rise"
    FALL = "fall"


@dataclass(frozen=True, slots=True)
class RateRule:
    """Fires when the newest point lies `change` or more above (`rise`) or below (`fall`) another of the window.

    `window_ms` includes its far end. The alarm clears with the first point that is less than `clear_change` away from
    every other (default: `change`). `minimum_samples` 1 believes each sample: for scales, never for a live signal.
    """

    rule_id: Name
    version: int
    condition: Name
    metric: Metric
    direction: Direction
    change: Annotated[float, Between(1e-6, 1e6)]
    window_ms: Annotated[int, Between(60_000, 31 * 86_400_000)]
    priority: Priority
    minimum_samples: Annotated[int, Between(1, 15)] = 3
    clear_change: float | None = None

    def __post_init__(self) -> None:
        if self.clear_change is not None and not 0 < self.clear_change <= self.change:
            raise ValueError("the clear change is not between zero and the change")


@dataclass(frozen=True, slots=True)
class Point:
    """`value` is None exactly when `range_flag` is set, as in a sample."""

    at_ms: int
    value: float | None
    range_flag: RangeFlag | None = None


@dataclass(frozen=True, slots=True)
class RateState:
    """What must survive a restart: the window's points, the run of samples that becomes the next one, and the alarm.

    `origin` is the point that the change is measured from while the alarm is active.
    """

    points: tuple[Point, ...] = ()
    run: tuple[Point, ...] = ()
    active: bool = False
    origin: Point | None = None


EMPTY = RateState()


def step(rule: RateRule, state: RateState, sample: Sample) -> tuple[RateState, Change]:
    """The state after one sample. One older than the newest seen changes nothing."""
    newest = state.run[-1] if state.run else state.points[-1] if state.points else None
    if newest is not None and sample.at_ms < newest.at_ms:
        return state, Change.NONE
    one = Point(sample.at_ms, sample.value, sample.range_flag)
    run = state.run
    if run and sample.at_ms - run[-1].at_ms > rule.window_ms // 4:
        # What lies so far apart is not one moment.
        run = ()
    run = (*run, one)
    if len(run) < rule.minimum_samples:
        return replace(state, run=run), Change.NONE
    point = replace(_median(run), at_ms=one.at_ms)
    points = tuple([each for each in state.points if point.at_ms - each.at_ms <= rule.window_ms])
    origin = _origin(rule, points, point)
    distance = 0.0 if origin is None else _distance(rule, origin, point)
    close = bool(points) and point.at_ms - points[-1].at_ms < rule.window_ms // POINTS
    # A point that is close to the one before is looked at and not kept.
    after = replace(state, points=points if close else (*points, point), run=run[1:])
    if not state.active:
        if distance >= rule.change:
            return replace(after, active=True, origin=origin), Change.RAISED
        return after, Change.NONE
    if distance < (rule.change if rule.clear_change is None else rule.clear_change):
        return replace(after, active=False, origin=None), Change.CLEARED
    return after, Change.NONE


def moved(state: RateState, offset_ms: int) -> RateState:
    """The state on a time line whose zero lies `offset_ms` earlier."""

    def one(point: Point) -> Point:
        return replace(point, at_ms=point.at_ms + offset_ms)

    return RateState(
        tuple([one(point) for point in state.points]),
        tuple([one(point) for point in state.run]),
        state.active,
        None if state.origin is None else one(state.origin),
    )


def _median(run: tuple[Point, ...]) -> Point:
    ordered = sorted(run, key=_height)
    middle = ordered[len(ordered) // 2]
    if middle.value is None or len(ordered) % 2:
        return middle
    lower = ordered[len(ordered) // 2 - 1]
    return middle if lower.value is None else replace(middle, value=(lower.value + middle.value) / 2)


def _height(point: Point) -> float:
    """A reading without a number lies beyond every number."""
    if point.value is not None:
        return point.value
    return float("inf") if point.range_flag is RangeFlag.ABOVE else float("-inf")


def _origin(rule: RateRule, points: tuple[Point, ...], point: Point) -> Point | None:
    """The point of the window from which the change is greatest; only a number can be the beginning of a change."""
    numbers = [each for each in points if each.value is not None]
    return max(numbers, key=lambda each: _distance(rule, each, point), default=None)


def _distance(rule: RateRule, origin: Point, point: Point) -> float:
    change = _height(point) - _height(origin)
    return change if rule.direction is Direction.RISE else -change
