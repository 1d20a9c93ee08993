"""Thresholds and rates over the patient's readings: states in, states and findings out. Pure.

Each device has its own track: a good sensor beside a bad one must not start the onset delay of the bad one's finding
again with every reading. Single checks share one: a repeat may come from another device.
"""

from collections.abc import Iterator
from dataclasses import replace

from bedside_agent.alarms.mind import Course, Finding, Key, Mind, Track
from bedside_agent.alarms.watching import taken_ms
from bedside_agent.clock import Instant
from bedside_profiles.readings import Modality, Quality, Reading
from bedside_profiles.rules import rates
from bedside_profiles.rules.rates import RateRule
from bedside_profiles.rules.thresholds import (
    Phase,
    RuleState,
    Sample,
    ThresholdRule,
    is_beyond,
    priority_of,
    step,
    tick,
)
from bedside_profiles.wire.alarm import AlarmInput, AlarmKind
from bedside_profiles.wire.careplan import CarePlan


def observe(plan: CarePlan, mind: Mind, reading: Reading, now: Instant) -> Mind:
    """After one reading of a watched device that came when it was taken.

    A sensor without contact neither raises nor ends anything.
    """
    rules = [rule for rule in plan.rules if rule.metric is reading.metric]
    if not rules or Quality.NO_CONTACT in reading.quality:
        return mind
    sample = Sample(taken_ms(reading, now), reading.value, reading.modality, reading.range_flag)
    tracks = dict(mind.tracks)
    for rule in rules:
        tracks.update(_step(rule, tracks, reading, sample))
    return replace(mind, tracks=tracks)


def follow(plan: CarePlan, mind: Mind, reading: Reading, now: Instant) -> Mind:
    """The rate rules after one reading, late or not: a course is made of whatever comes, in the order of its times."""
    rates_ = [rate for rate in plan.rates if rate.metric is reading.metric]
    if not rates_ or Quality.NO_CONTACT in reading.quality:
        return mind
    sample = Sample(taken_ms(reading, now), reading.value, reading.modality, reading.range_flag)
    courses = dict(mind.courses)
    for rate in rates_:
        key = (rate.rule_id, reading.device_id)
        courses[key] = _follow(rate, courses.get(key), reading, sample, now)
    return replace(mind, courses=courses)


def pass_time(plan: CarePlan, mind: Mind, now: Instant) -> Mind:
    """When time passes without a reading: a spot check whose repeat never came is found.

    It is looked at again first: another limit may hold by now.
    """
    rules = {rule.rule_id: rule for rule in plan.rules}
    tracks = dict(mind.tracks)
    for key, track in mind.tracks.items():
        rule = rules.get(track.rule_id)
        if rule is None or track.state.deadline_ms is None:
            continue
        if track.onset is not None and not _still_beyond(rule, track.onset):
            tracks[key] = at_rest(track)
        else:
            state, _ = tick(rule, track.state, now.monotonic_ms)
            tracks[key] = replace(track, state=state)
    return replace(mind, tracks=tracks)


def findings(plan: CarePlan, mind: Mind) -> Iterator[Finding]:
    """What is present now."""
    rules = {rule.rule_id: rule for rule in plan.rules}
    for track in mind.tracks.values():
        rule = rules.get(track.rule_id)
        if rule is not None and track.state.phase is Phase.ACTIVE:
            yield threshold_finding(rule, track)
    by_rate = {rate.rule_id: rate for rate in plan.rates}
    for course in mind.courses.values():
        rate = by_rate.get(course.rule_id)
        if rate is not None and course.state.active:
            yield Finding(
                condition=rate.condition,
                kind=AlarmKind.PHYSIOLOGICAL,
                priority=rate.priority,
                rule_id=rate.rule_id,
                device_id=course.device_id,
                metric=rate.metric,
                limit=rate.change,
                onset=course.onset,
                latest=course.latest,
            )


def alarming(plan: CarePlan, mind: Mind) -> frozenset[str]:
    """Devices on whose word a physiological alarm is active."""
    return frozenset(one.device_id for one in findings(plan, mind) if one.device_id)


def threshold_finding(rule: ThresholdRule, track: Track) -> Finding:
    """What a track has found."""
    return Finding(
        condition=rule.condition,
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=priority_of(rule, track.state),
        level=1 if track.state.extreme else 0,
        rule_id=rule.rule_id,
        device_id=track.device_id,
        metric=rule.metric,
        limit=rule.limit,
        onset=track.onset,
        latest=track.latest,
    )


def track_key(rule: ThresholdRule, reading: Reading) -> Key:
    """Under which a reading's track is kept."""
    return (rule.rule_id, "" if reading.modality is Modality.SPOT else reading.device_id)


def stepped(rule: ThresholdRule, before: Track | None, reading: Reading, sample: Sample) -> Track:
    """The track after one reading."""
    spot = reading.modality is Modality.SPOT
    before = before or Track(rule.rule_id, reading.device_id, spot)
    state, _ = step(rule, before.state, sample)
    if state == before.state:
        return before
    track = replace(before, state=state, device_id=reading.device_id)
    if state.phase is Phase.NORMAL:
        return at_rest(track)
    if not is_beyond(rule, rule.limit, sample):
        return track
    present = as_input(reading, sample.at_ms)
    onset = present if before.state.phase is Phase.NORMAL or before.onset is None else before.onset
    return replace(track, onset=onset, latest=present)


def at_rest(track: Track) -> Track:
    """The track without anything that it found."""
    return Track(track.rule_id, track.device_id, track.spot, RuleState(last_ms=track.state.last_ms))


def as_input(reading: Reading, taken_ms: int) -> AlarmInput:
    """The reading as an alarm carries it; `taken_ms` is before this boot when it is negative."""
    return AlarmInput(
        metric=reading.metric,
        value=reading.value,
        taken_at_ms=reading.taken_at_ms,
        range_flag=reading.range_flag,
        seq=reading.seq or None,
        monotonic_ms=taken_ms if taken_ms >= 0 else None,
    )


def _step(
    rule: ThresholdRule, tracks: dict[Key, Track], reading: Reading, sample: Sample
) -> Iterator[tuple[Key, Track]]:
    key = track_key(rule, reading)
    yield key, stepped(rule, tracks.get(key), reading, sample)
    checked = tracks.get((rule.rule_id, "")) if key[1] else None
    if checked is None or checked.state.phase is Phase.NORMAL or is_beyond(rule, rule.limit, sample):
        return
    # A live value in range is as good a repeat as another check; one out of range has a track of its own.
    yield (rule.rule_id, ""), stepped(rule, checked, reading, sample)


def _follow(rule: RateRule, before: Course | None, reading: Reading, sample: Sample, now: Instant) -> Course:
    before = before or Course(rule.rule_id, reading.device_id)
    state, _ = rates.step(rule, before.state, sample)
    if state is before.state:
        return before
    if not state.active or state.origin is None:
        return Course(rule.rule_id, reading.device_id, state)
    onset = before.onset
    if not before.state.active or onset is None:
        origin = state.origin
        taken_at_ms = max(0, now.utc_ms - (now.monotonic_ms - origin.at_ms))
        began_ms = origin.at_ms if origin.at_ms >= 0 else None
        onset = AlarmInput(rule.metric, origin.value, taken_at_ms, origin.range_flag, monotonic_ms=began_ms)
    return Course(rule.rule_id, reading.device_id, state, onset, as_input(reading, sample.at_ms))


def _still_beyond(rule: ThresholdRule, onset: AlarmInput) -> bool:
    return is_beyond(rule, rule.limit, Sample(0, onset.value, Modality.SPOT, onset.range_flag))
