"""Planned measurements: when one is due, when the patient is reminded, and when its absence is an alarm.

Everything is counted on the caller's monotonic line; only due times of a day need to know what time it is now. A hub
that does not know it takes the longest gap between two due times as the interval: a reminder may come late by some
hours, or early, and none is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from bedside_profiles.bounds import Between, Name, Shape
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority

DAY_MS = 86_400_000
Span = Annotated[int, Between(0, 31 * DAY_MS)]
MinuteOfDay = Annotated[int, Between(0, 1439)]
Zone = Annotated[str, Shape(64, r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")]


class Stage(StrEnum):
    """How far a planned measurement is behind."""

    DONE = "done"
    DUE = "due"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class CadenceRule:
    """A measurement of `metric` is due `every_ms` after the one before, or at `at_minutes` of the day in `zone`.

    One taken up to `early_ms` before a due time serves it. The patient is reminded `remind_after_ms` after the due
    time; at `alarm_after_ms` it is a technical alarm of this `condition` and `priority`, never without the time in
    between: a hub that was off reminds first. Only a measurement ends it.
    """

    rule_id: Name
    version: int
    condition: Name
    metric: Metric
    priority: Priority
    every_ms: Span | None = None
    at_minutes: tuple[MinuteOfDay, ...] = ()
    zone: Zone = "UTC"
    early_ms: Span = 3_600_000
    remind_after_ms: Span = 0
    alarm_after_ms: Span = 3_600_000

    def __post_init__(self) -> None:
        if (self.every_ms is None) == (not self.at_minutes):
            raise ValueError("a cadence has either an interval or times of the day")
        if self.every_ms is not None and self.every_ms < 60_000:
            raise ValueError("an interval is at least a minute")
        if self.alarm_after_ms < self.remind_after_ms:
            raise ValueError("the alarm comes before the reminder")
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as cause:
            raise ValueError(f"there is no time zone {self.zone}") from cause


@dataclass(frozen=True, slots=True)
class CadenceState:
    """What must survive a restart. `done_ms` is the newest measurement, or when the rule came into force.

    `reminded_ms` is when the patient was reminded of the one that is due.
    """

    done_ms: int
    reminded_ms: int | None = None
    overdue: bool = False


def done(state: CadenceState | None, at_ms: int) -> CadenceState:
    """After a measurement; one older than the newest changes nothing."""
    return state if state is not None and at_ms < state.done_ms else CadenceState(at_ms)


def tick(rule: CadenceRule, state: CadenceState, now_ms: int, utc_ms: int | None) -> tuple[CadenceState, Stage]:
    """The state and stage when time has passed; `utc_ms` is None when the hub does not know what time it is.

    A reminder that was said is not taken back by a clock that changes its mind: the alarm follows it in time.
    """
    if state.overdue:
        return state, Stage.OVERDUE
    reminded_ms = state.reminded_ms
    if reminded_ms is None:
        if now_ms - due_ms(rule, state.done_ms, now_ms, utc_ms) < rule.remind_after_ms:
            return state, Stage.DONE
        reminded_ms = now_ms
    overdue = now_ms - reminded_ms >= rule.alarm_after_ms - rule.remind_after_ms
    return CadenceState(state.done_ms, reminded_ms, overdue), Stage.OVERDUE if overdue else Stage.DUE


def due_ms(rule: CadenceRule, done_ms: int, now_ms: int, utc_ms: int | None) -> int:
    """When the next measurement after `done_ms` is due, on the monotonic line."""
    if rule.every_ms is not None:
        return done_ms + rule.every_ms
    if utc_ms is None:
        return done_ms + longest_gap_ms(rule)
    offset = utc_ms - now_ms
    served_ms = done_ms + offset + rule.early_ms
    return next(at for at in _due_times(rule, served_ms) if at > served_ms) - offset


def longest_gap_ms(rule: CadenceRule) -> int:
    """The longest time between two due times of a day."""
    minutes = sorted(set(rule.at_minutes))
    following = (*minutes[1:], minutes[0] + 1440)
    return max(later - earlier for earlier, later in zip(minutes, following, strict=True)) * 60_000


def _due_times(rule: CadenceRule, from_utc_ms: int) -> Iterator[int]:
    """Due times in order, from the day before on; in a zone's missing hour a time is due an hour later."""
    zone = ZoneInfo(rule.zone)
    day = datetime.fromtimestamp(max(0, from_utc_ms) / 1000, UTC).astimezone(zone).date() - timedelta(days=1)
    while True:
        for minute in sorted(set(rule.at_minutes)):
            local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
            yield round(local.timestamp() * 1000)
        day += timedelta(days=1)
