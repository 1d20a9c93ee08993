"""From what is present to what is said: one raised, any number of updated, one cleared for each occurrence. Pure.

The alarms are the difference between the findings and what stands. So an active alarm cannot vanish without being
cleared, an episode cannot be raised twice, and what got worse is said again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bedside_agent.alarms.lateness import Past
from bedside_agent.alarms.mind import Finding, Key, Standing
from bedside_agent.alarms.physiological import as_input
from bedside_agent.alarms.watching import taken_ms
from bedside_agent.clock import Instant
from bedside_profiles.readings import Reading
from bedside_profiles.rules.priority import ORDER, higher
from bedside_profiles.wire.alarm import Alarm, AlarmState
from bedside_profiles.wire.careplan import CarePlan

NewEpisode = Callable[[], str]
"""A fresh UUID as text."""


@dataclass(frozen=True, slots=True)
class Concluded:
    """What stands after a step, and the alarms that tell of the difference, without their sequences."""

    standing: Mapping[Key, Standing]
    alarms: tuple[Alarm, ...]


def conclude(
    plan: CarePlan,
    standing: Mapping[Key, Standing],
    findings: Iterable[Finding],
    now: Instant,
    new_episode: NewEpisode,
    readings: Sequence[Reading] = (),
) -> Concluded:
    """Hold what stands against what is present; `readings` are what changed it."""
    present = _merged(findings)
    after, alarms = dict(standing), list[Alarm]()
    for key, found in present.items():
        stands = after.get(key)
        if stands is None:
            since = now.utc_ms if found.onset_ms is None else found.onset_ms
            since = found.onset.taken_at_ms if found.onset else since
            stands = Standing(new_episode(), found, plan.patient_id, plan.plan_id, plan.version, since)
            alarms.append(_alarm(plan, stands, now, AlarmState.RAISED))
        else:
            worse = _is_worse(found, stands.said)
            priority = higher(stands.said.priority, found.priority)
            said = replace(found, priority=priority, level=max(found.level, stands.said.level))
            stands = replace(stands, said=said)
            if worse:
                alarms.append(_alarm(plan, stands, now, AlarmState.UPDATED))
        after[key] = stands
    for key in [key for key in after if key not in present]:
        alarms.append(_cleared(plan, after.pop(key), now, readings))
    return Concluded(after, tuple(alarms))


def retrospective(plan: CarePlan, past: Past, now: Instant, new_episode: NewEpisode) -> tuple[Alarm, Alarm]:
    """Both ends of an episode that was over before it was known, at the times at which they were."""

    def at(monotonic_ms: int) -> Instant:
        ago = now.monotonic_ms - monotonic_ms
        return replace(now, utc_ms=max(0, now.utc_ms - ago), monotonic_ms=max(0, monotonic_ms))

    begun, ended = at(past.from_ms), at(past.until_ms)
    since = past.found.onset.taken_at_ms if past.found.onset else begun.utc_ms
    stands = Standing(new_episode(), past.found, plan.patient_id, plan.plan_id, plan.version, since)
    raised = _alarm(plan, stands, begun, AlarmState.RAISED)
    cleared = _alarm(plan, stands, ended, AlarmState.CLEARED)
    return replace(raised, retrospective=True), replace(cleared, retrospective=True)


def _merged(findings: Iterable[Finding]) -> dict[Key, Finding]:
    """One finding a key: the most urgent, and of equals the first; the level is the highest of all."""
    merged: dict[Key, Finding] = {}
    for found in findings:
        known = merged.get(found.key)
        if known is None:
            merged[found.key] = found
            continue
        urgent = found if ORDER.index(found.priority) > ORDER.index(known.priority) else known
        merged[found.key] = replace(urgent, level=max(found.level, known.level))
    return merged


def _is_worse(found: Finding, said: Finding) -> bool:
    return ORDER.index(found.priority) > ORDER.index(said.priority) or found.level > said.level


def _cleared(plan: CarePlan, stands: Standing, now: Instant, readings: Sequence[Reading]) -> Alarm:
    alarm = _alarm(plan, stands, now, AlarmState.CLEARED)
    said = stands.said
    reading = next((one for one in readings if one.metric is said.metric), None)
    if reading is None:
        return alarm
    ending = as_input(reading, taken_ms(reading, now))
    inputs = (said.onset, ending) if said.onset else (ending,)
    return replace(
        alarm, device_id=reading.device_id, value=reading.value, range_flag=reading.range_flag, inputs=inputs
    )


def _alarm(plan: CarePlan, stands: Standing, now: Instant, state: AlarmState) -> Alarm:
    same = plan.patient_id == stands.patient_id
    said = stands.said
    inputs = (said.onset,) if said.onset == said.latest else (said.onset, said.latest)
    return Alarm(
        seq=0,
        episode=stands.episode,
        condition=said.condition,
        kind=said.kind,
        priority=said.priority,
        state=state,
        at_ms=now.utc_ms,
        onset_ms=stands.since_utc_ms,
        boot_id=now.boot_id,
        monotonic_ms=now.monotonic_ms,
        clock_quality=now.quality,
        patient_id=stands.patient_id,
        plan_id=plan.plan_id if same else stands.plan_id,
        plan_version=plan.version if same else stands.plan_version,
        rule_id=said.rule_id,
        device_id=said.device_id,
        metric=said.metric,
        value=said.value,
        range_flag=said.range_flag,
        limit=said.limit,
        inputs=tuple([one for one in inputs if one is not None]),
        test=said.test,
    )
