"""Readings that came long after they were taken: a cuff's memory, an hour without a link. Pure.

They run on a track of their own, by the times at which they were taken. An episode that is over when it arrives is
told once, marked retrospective, and sounds nowhere; one that no later reading ends is still going on and becomes a
normal alarm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bedside_agent.alarms.mind import Finding, Key, LateTrack, Mind, Track
from bedside_agent.alarms.physiological import at_rest, stepped, threshold_finding, track_key
from bedside_agent.alarms.watching import taken_ms
from bedside_agent.clock import Instant
from bedside_profiles.readings import Quality, Reading
from bedside_profiles.rules.thresholds import Phase, Sample, ThresholdRule, tick
from bedside_profiles.wire.careplan import CarePlan

LATE_MS = 60_000
"""Older readings are late: a slow link delivers faster, a device's memory slower."""

SETTLE_MS = 10_000
"""So long after the newest late reading the rest of them is not waited for."""


@dataclass(frozen=True, slots=True)
class Past:
    """An episode that is over: from when (the alarm) to when, on the monotonic line."""

    found: Finding
    from_ms: int
    until_ms: int


def is_late(reading: Reading, now: Instant) -> bool:
    """Whether it is to be looked at here."""
    return now.monotonic_ms - taken_ms(reading, now) > LATE_MS


def observe(plan: CarePlan, mind: Mind, reading: Reading, now: Instant) -> tuple[Mind, tuple[Past, ...]]:
    """After one late reading of a watched device, and the episode that it proved to be over."""
    if Quality.NO_CONTACT in reading.quality:
        return mind, ()
    sample = Sample(taken_ms(reading, now), reading.value, reading.modality, reading.range_flag)
    late, over = dict(mind.late), list[Past]()
    for rule in plan.rules:
        if rule.metric is not reading.metric:
            continue
        key = track_key(rule, reading)
        before = late[key].track if key in late else None
        if before is not None:
            # Its repeat was due before this reading was taken.
            before = replace(before, state=tick(rule, before.state, sample.at_ms)[0])
        after = stepped(rule, before, reading, sample)
        if before is not None and before.state.phase is Phase.ACTIVE and after.state.phase is Phase.NORMAL:
            over.append(_past(rule, before, sample.at_ms))
        late[key] = LateTrack(after, now.monotonic_ms)
    return replace(mind, late=late), tuple(over)


def settle(plan: CarePlan, mind: Mind, now: Instant) -> tuple[Mind, tuple[Past, ...]]:
    """When time passes: whatever is complete becomes history, or the present."""
    due = {key: one for key, one in mind.late.items() if now.monotonic_ms - one.heard_ms >= SETTLE_MS}
    if not due:
        return mind, ()
    rules = {rule.rule_id: rule for rule in plan.rules}
    tracks, over = dict(mind.tracks), list[Past]()
    for key, one in due.items():
        rule = rules.get(one.track.rule_id)
        if rule is not None:
            _join(rule, tracks, key, one.track, now, over)
    return replace(mind, tracks=tracks, late={key: one for key, one in mind.late.items() if key not in due}), tuple(
        over
    )


def _join(
    rule: ThresholdRule,
    tracks: dict[Key, Track],
    key: Key,
    late: Track,
    now: Instant,
    over: list[Past],
) -> None:
    last_ms = late.state.last_ms or 0
    live_ms = _newest_live(tracks, key)
    if live_ms is None or live_ms < last_ms:
        # Nothing newer is known: what the late readings found is how it is.
        tracks[key] = late
        return
    live = tracks.get(key)
    found = replace(late, state=tick(rule, late.state, live_ms)[0])
    if found.state.phase is not Phase.ACTIVE:
        return
    if live is None or live.state.phase is Phase.NORMAL:
        over.append(_past(rule, found, live_ms))
        tracks[key] = live or at_rest(late)


def _newest_live(tracks: Mapping[Key, Track], key: Key) -> int | None:
    """When the newest live reading of the rule was taken: a live signal outdates a late single check too."""
    own = [tracks[key]] if key in tracks else []
    if not key[1]:
        own += [track for (rule_id, _), track in tracks.items() if rule_id == key[0]]
    return max((track.state.last_ms for track in own if track.state.last_ms is not None), default=None)


def _past(rule: ThresholdRule, track: Track, until_ms: int) -> Past:
    since_ms = track.state.since_ms
    return Past(threshold_finding(rule, track), until_ms if since_ms is None else since_ms, until_ms)
