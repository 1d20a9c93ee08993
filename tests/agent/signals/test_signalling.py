"""What sounds when: acknowledgements, quiet hours, worsening, pauses."""

from dataclasses import replace

import pytest
from tests.support.clock import NOON_MS

from bedside_agent.signals.signalling import Alarming, QuietHours, Told, Wanted, decide, hear, pause
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.alert import AlertNotice, AlertStage

NIGHT = QuietHours(22 * 60, 7 * 60)
NOON, MIDNIGHT = 12 * 60, 0
HIGH = Alarming("e1", "spo2_low", AlarmKind.PHYSIOLOGICAL, Priority.HIGH, 0, Metric.SPO2)
MEDIUM = replace(HIGH, episode="e2", condition="pulse_high", priority=Priority.MEDIUM, metric=Metric.PULSE_RATE)
LOW = replace(HIGH, episode="e3", condition="battery_low", kind=AlarmKind.TECHNICAL, priority=Priority.LOW, metric=None)


def notice(
    alarm: Alarming, stage: AlertStage = AlertStage.ACKNOWLEDGED, priority: Priority | None = None
) -> AlertNotice:
    return AlertNotice(1, "hub-1", "a", alarm.condition, stage, 2, NOON_MS, alarm.episode, "nurse", priority)


def wanted(
    *alarms: Alarming,
    told: Told | None = None,
    minute: int | None = NOON,
    now_ms: int = 0,
    due: tuple[Metric, ...] = (),
) -> Wanted:
    return decide(told or Told(), alarms, due, NIGHT, minute, now_ms)[1]


def test_nothing_stands_nothing_is_given() -> None:
    assert wanted() == Wanted()


@pytest.mark.parametrize("minute", [NOON, MIDNIGHT, None])
def test_high_sounds_at_every_hour(minute: int | None) -> None:
    given = wanted(MEDIUM, HIGH, minute=minute)
    assert (given.loud, given.once, given.lit) == (HIGH, False, Priority.HIGH)


@pytest.mark.parametrize(("minute", "loud"), [(NOON, True), (22 * 60, False), (7 * 60 - 1, False), (7 * 60, True)])
def test_medium_and_low_are_seen_and_not_heard_in_quiet_hours(minute: int, loud: bool) -> None:
    assert (wanted(MEDIUM, minute=minute).loud is not None) is loud
    assert (wanted(LOW, minute=minute).loud is not None) is loud
    assert wanted(MEDIUM, minute=minute).lit is Priority.MEDIUM


def test_a_hub_that_does_not_know_the_hour_has_no_quiet_ones() -> None:
    assert wanted(MEDIUM, minute=None).loud == MEDIUM


def test_low_sounds_once() -> None:
    told, first = decide(Told(), [LOW], (), NIGHT, NOON, 0)
    assert (first.loud, first.once) == (LOW, True)
    told, second = decide(told, [LOW], (), NIGHT, NOON, 1000)
    assert (second.loud, second.lit) == (None, Priority.LOW)
    told, _ = decide(told, [], (), NIGHT, NOON, 2000)
    assert decide(told, [LOW], (), NIGHT, NOON, 3000)[1].loud == LOW, "another time"


def test_a_test_sounds_once_at_any_hour_and_after_all_that_is_real() -> None:
    test = replace(HIGH, episode="e4", condition="alarm_test", kind=AlarmKind.TECHNICAL, metric=None, test=True)
    told, first = decide(Told(), [test], (), NIGHT, MIDNIGHT, 0)
    assert (first.loud, first.once, first.lit) == (test, True, Priority.HIGH)
    assert decide(told, [test], (), NIGHT, MIDNIGHT, 1000)[1].loud is None
    assert wanted(test, LOW).loud == LOW


def test_an_acknowledgement_makes_it_quiet_and_leaves_the_light() -> None:
    told = hear(Told(), [HIGH], [notice(HIGH)])
    given = wanted(HIGH, told=told)
    assert (given.loud, given.lit) == (None, Priority.HIGH)


def test_an_acknowledgement_of_one_quiets_no_other() -> None:
    assert wanted(HIGH, MEDIUM, told=hear(Told(), [HIGH, MEDIUM], [notice(HIGH)])).loud == MEDIUM


@pytest.mark.parametrize("worse", [replace(MEDIUM, priority=Priority.HIGH), replace(MEDIUM, level=1)])
def test_what_got_worse_is_heard_anew(worse: Alarming) -> None:
    told = hear(Told(), [MEDIUM], [notice(MEDIUM)])
    assert wanted(MEDIUM, told=told).loud is None
    told = hear(told, [worse], [notice(MEDIUM)])
    given = wanted(worse, told=told)
    assert given.loud == worse
    assert given.key != wanted(MEDIUM).key, "so that it begins anew"


def test_an_acknowledgement_covers_no_more_than_its_person_saw() -> None:
    worse = replace(MEDIUM, priority=Priority.HIGH)
    told = hear(Told(), [worse], [notice(MEDIUM, priority=Priority.MEDIUM)])
    assert wanted(worse, told=told).loud == worse
    told = hear(told, [worse], [notice(MEDIUM, priority=Priority.HIGH)])
    assert wanted(worse, told=told).loud is None


def test_what_the_cloud_takes_back_sounds_again() -> None:
    told = hear(Told(), [HIGH], [notice(HIGH)])
    assert wanted(HIGH, told=hear(told, [HIGH], [notice(HIGH, AlertStage.STORED)])).loud == HIGH


@pytest.mark.parametrize("stage", [AlertStage.STORED, AlertStage.NOTIFIED, AlertStage.NOBODY_REACHED])
def test_only_an_acknowledgement_quiets(stage: AlertStage) -> None:
    assert wanted(HIGH, told=hear(Told(), [HIGH], [notice(HIGH, stage)])).loud == HIGH


def test_a_pause_at_home_ends_by_itself_and_with_anything_new_or_worse() -> None:
    told = pause(Told(), [MEDIUM], 0)
    assert wanted(MEDIUM, told=told, now_ms=599_999).loud is None
    assert wanted(MEDIUM, told=told, now_ms=600_000).loud == MEDIUM
    assert wanted(MEDIUM, HIGH, told=told).loud == HIGH
    worse = replace(MEDIUM, level=1)
    assert wanted(worse, told=told).loud == worse


def test_a_reminder_is_said_once_by_day_and_after_alarms() -> None:
    assert wanted(due=(Metric.BODY_WEIGHT,), minute=MIDNIGHT).due is None
    assert wanted(HIGH, due=(Metric.BODY_WEIGHT,)).due is None
    told, first = decide(Told(), [], [Metric.BODY_WEIGHT], NIGHT, NOON, 0)
    assert (first.due, first.once) == (Metric.BODY_WEIGHT, True)
    assert decide(told, [], [Metric.BODY_WEIGHT], NIGHT, NOON, 1)[1] == Wanted()


def test_a_repeat_is_asked_for_once_at_every_hour() -> None:
    told, first = decide(Told(), [], [], NIGHT, MIDNIGHT, 0, [Metric.SYSTOLIC_PRESSURE])
    assert (first.again, first.once) == (Metric.SYSTOLIC_PRESSURE, True)
    told, second = decide(told, [], [], NIGHT, MIDNIGHT, 1, [Metric.SYSTOLIC_PRESSURE])
    assert second == Wanted()
    told, _ = decide(told, [], [], NIGHT, MIDNIGHT, 2, [])
    assert decide(told, [], [], NIGHT, MIDNIGHT, 3, [Metric.SYSTOLIC_PRESSURE])[1].again is Metric.SYSTOLIC_PRESSURE


def test_hours_within_a_day() -> None:
    siesta = QuietHours(14 * 60, 16 * 60)
    assert [siesta.holds(hour * 60) for hour in (13, 14, 15, 16)] == [False, True, True, False]
    assert not QuietHours().holds(0)
