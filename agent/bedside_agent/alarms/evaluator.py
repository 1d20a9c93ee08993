"""Care plan, rule tracks and a reading in; tracks and alarms out. Pure; times are the hub's monotonic milliseconds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality, Quality, Reading
from bedside_profiles.rules.thresholds import NORMAL, Change, Phase, RuleState, Sample, ThresholdRule, step, tick
from bedside_profiles.wire.alarm import Alarm, AlarmInput, AlarmKind, AlarmState
from bedside_profiles.wire.careplan import CarePlan

NewEpisode = Callable[[], str]
"""A fresh UUID as text."""


@dataclass(frozen=True, slots=True)
class Track:
    """Where one rule stands. `onset` is the first reading out of range; `episode` is set while the alarm is active.

    `rule` is the rule as it was when the alarm was raised, so that it can be ended after the plan has dropped it.
    """

    state: RuleState = NORMAL
    episode: str | None = None
    device_id: str | None = None
    onset: AlarmInput | None = None
    rule: ThresholdRule | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The tracks after a step, and alarms without their sequences."""

    tracks: Mapping[str, Track]
    alarms: tuple[Alarm, ...] = field(default=())


def is_watched(plan: CarePlan, device_id: str, now: Instant) -> bool:
    """Whether the plan has this device measure the patient now.

    A hub that does not know the time watches every device the plan names: an alarm too many, not one too few.
    """
    if not plan.active:
        return False
    for device in plan.devices:
        if device.device_id == device_id:
            if now.quality is not ClockQuality.SYNCED:
                return True
            if device.from_ms <= now.utc_ms and (device.until_ms is None or now.utc_ms < device.until_ms):
                return True
    return False


def observe(plan: CarePlan, tracks: Mapping[str, Track], reading: Reading, new_episode: NewEpisode) -> Outcome:
    """After one reading of a watched device. A sensor without contact neither raises nor ends anything."""
    if Quality.NO_CONTACT in reading.quality:
        return Outcome(tracks)
    after = dict(tracks)
    alarms = []
    sample = Sample(reading.monotonic_ms, reading.value, reading.modality, reading.range_flag)
    for rule in plan.rules:
        if rule.metric is not reading.metric:
            continue
        before = after.get(rule.rule_id, Track())
        state, change = step(rule, before.state, sample)
        track = replace(before, state=state, device_id=reading.device_id)
        if before.state.phase is Phase.NORMAL and state.phase is not Phase.NORMAL:
            track = replace(track, onset=_input(reading))
        if change is Change.RAISED:
            track = replace(track, episode=new_episode(), rule=rule)
            alarms.append(_from_reading(plan, rule, track, reading, AlarmState.RAISED))
        elif change is Change.CLEARED:
            alarms.append(_from_reading(plan, rule, track, reading, AlarmState.CLEARED))
        after[rule.rule_id] = Track(state) if state.phase is Phase.NORMAL else track
    return Outcome(after, tuple(alarms))


def pass_time(plan: CarePlan, tracks: Mapping[str, Track], now: Instant, new_episode: NewEpisode) -> Outcome:
    """When time passes without a reading: a spot check whose repeat never came raises."""
    after = dict(tracks)
    alarms = []
    for rule in plan.rules if plan.active else ():
        before = after.get(rule.rule_id)
        if before is None:
            continue
        state, change = tick(rule, before.state, now.monotonic_ms)
        if change is Change.RAISED:
            track = replace(before, state=state, episode=new_episode(), rule=rule)
            after[rule.rule_id] = track
            alarms.append(_from_track(plan, rule, track, now, AlarmState.RAISED))
    return Outcome(after, tuple(alarms))


def change_plan(before: CarePlan | None, plan: CarePlan, tracks: Mapping[str, Track], now: Instant) -> Outcome:
    """After another plan came into force. Rules that it keeps go on where they stood.

    An active alarm ends when the plan no longer has its rule, is not active, or is for another patient: a person
    decided that, and nobody would ever clear it otherwise.
    """
    same_patient = before is not None and before.patient_id == plan.patient_id
    kept = {rule.rule_id: rule for rule in plan.rules} if plan.active and same_patient else {}
    after = {}
    alarms = []
    for rule_id, track in tracks.items():
        rule = kept.get(rule_id)
        if rule is not None and (track.rule is None or track.rule.metric is rule.metric):
            after[rule_id] = track
        elif track.episode is not None and track.rule is not None:
            alarms.append(_from_track(before or plan, track.rule, track, now, AlarmState.CLEARED))
    return Outcome(after, tuple(alarms))


def _from_reading(plan: CarePlan, rule: ThresholdRule, track: Track, reading: Reading, state: AlarmState) -> Alarm:
    now = Instant(reading.taken_at_ms, reading.monotonic_ms, reading.boot_id, reading.clock_quality)
    present = _input(reading)
    inputs = (present,) if track.onset in (None, present) else (track.onset, present)
    return replace(
        _from_track(plan, rule, track, now, state),
        device_id=reading.device_id,
        value=reading.value,
        range_flag=reading.range_flag,
        inputs=tuple(one for one in inputs if one is not None),
    )


def _from_track(plan: CarePlan, rule: ThresholdRule, track: Track, now: Instant, state: AlarmState) -> Alarm:
    assert track.episode is not None  # noqa: S101 - only raised tracks come here
    onset = track.onset
    return Alarm(
        seq=0,
        episode=track.episode,
        condition=rule.condition,
        kind=AlarmKind.PHYSIOLOGICAL,
        priority=rule.priority,
        state=state,
        at_ms=now.utc_ms,
        onset_ms=onset.taken_at_ms if onset else now.utc_ms,
        boot_id=now.boot_id,
        monotonic_ms=now.monotonic_ms,
        clock_quality=now.quality,
        patient_id=plan.patient_id,
        plan_id=plan.plan_id,
        plan_version=plan.version,
        rule_id=rule.rule_id,
        device_id=track.device_id,
        metric=rule.metric,
        value=onset.value if onset else None,
        range_flag=onset.range_flag if onset else None,
        limit=rule.limit,
        inputs=(onset,) if onset else (),
    )


def _input(reading: Reading) -> AlarmInput:
    return AlarmInput(
        metric=reading.metric,
        value=reading.value,
        taken_at_ms=reading.taken_at_ms,
        range_flag=reading.range_flag,
        seq=reading.seq or None,
        monotonic_ms=reading.monotonic_ms,
    )
