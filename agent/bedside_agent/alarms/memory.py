"""What the alarms must remember over a restart, as bytes, and how its times move to another boot. Pure.

A monotonic clock starts again at every boot. When both wall clocks were synced, the time in between is known and the
times move by it. When it is not known, each time is taken as what alarms sooner: a spot check that waited for its
repeat is due, a pending signal raises at its next reading out of range, a planned measurement is due, and the window
of a rate goes on as if no time had passed. That is an alarm too many at worst, never one too few.

Two things are counted only while the hub runs: a calm that began before the restart, because nobody saw whether it
lasted, and the silence of a device, whose radio needs time to come back too.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bedside_agent.alarms.mind import Battery, Contact, Course, Heard, Key, LateTrack, Mind, Standing, Track
from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality, RangeFlag
from bedside_profiles.rules import rates
from bedside_profiles.rules.cadence import CadenceState
from bedside_profiles.rules.rates import Point, RateState
from bedside_profiles.rules.thresholds import Phase, RuleState
from bedside_profiles.wire.alarm import AlarmInput
from bedside_profiles.wire.fields import from_map, to_map

LONG_MS = 400 * 86_400_000
"""Longer than any delay or interval that a rule can have."""

COURSES_EVERY_MS = 10_000
"""How often the windows of the rates are written while nothing else happens: so much of them a kill may cost."""


@dataclass(frozen=True, slots=True)
class SavedCadence:
    """A `CadenceState` under its rule's id."""

    rule_id: str
    state: CadenceState


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything, and the moment at which it was so."""

    utc_ms: int
    monotonic_ms: int
    boot_id: str
    quality: ClockQuality
    alarm_tracks: tuple[Track, ...] = ()
    late: tuple[LateTrack, ...] = ()
    cadences: tuple[SavedCadence, ...] = ()
    heard: tuple[Heard, ...] = ()
    contacts: tuple[Contact, ...] = ()
    batteries: tuple[Battery, ...] = ()
    clockless: tuple[str, ...] = ()
    unsynced_since_ms: int | None = None
    standing: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class SavedCourse:
    """A `Course`; `points` and `run` as text, because there are many: `milliseconds since the first,value`."""

    rule_id: str
    device_id: str
    first_ms: int
    points: str
    run: str
    active: bool = False
    origin: Point | None = None
    onset: AlarmInput | None = None
    latest: AlarmInput | None = None


@dataclass(frozen=True, slots=True)
class Courses:
    """The windows of the rates: large, and written now and then."""

    utc_ms: int
    monotonic_ms: int
    boot_id: str
    quality: ClockQuality
    courses: tuple[SavedCourse, ...] = ()


def save(mind: Mind, now: Instant) -> bytes:
    """The memory as bytes, but for the courses; tracks at rest are left out."""
    memory = Memory(
        now.utc_ms,
        now.monotonic_ms,
        now.boot_id,
        now.quality,
        tuple([track for track in mind.tracks.values() if track.state.phase is not Phase.NORMAL]),
        tuple(mind.late.values()),
        tuple([SavedCadence(rule_id, state) for rule_id, state in mind.cadences.items()]),
        tuple(mind.heard.values()),
        tuple(mind.contacts.values()),
        tuple(mind.batteries.values()),
        tuple(sorted(mind.clockless)),
        mind.unsynced_since_ms,
        tuple(mind.standing.values()),
    )
    return json.dumps(to_map(memory), separators=(",", ":")).encode()


def save_courses(mind: Mind, now: Instant) -> bytes:
    """The courses as bytes."""
    saved = Courses(
        now.utc_ms,
        now.monotonic_ms,
        now.boot_id,
        now.quality,
        tuple([_saved(course) for course in mind.courses.values()]),
    )
    return json.dumps(to_map(saved), separators=(",", ":")).encode()


def essence(mind: Mind) -> object:
    """What is worth a write: not the times of the newest reading, which change with each one."""
    return (
        {
            key: (replace(track.state, last_ms=None), track.onset)
            for key, track in mind.tracks.items()
            if track.state.phase is not Phase.NORMAL
        },
        mind.late,
        {key for key, course in mind.courses.items() if course.state.active},
        mind.cadences,
        {key: heard.quiet for key, heard in mind.heard.items()},
        {device_id: contact.off_since_ms for device_id, contact in mind.contacts.items()},
        mind.batteries,
        mind.clockless,
        mind.unsynced_since_ms is None,
        {key: (stands.episode, stands.said.priority, stands.said.level) for key, stands in mind.standing.items()},
    )


def restore(saved: bytes, now: Instant) -> Mind:
    """The mind without courses, in the present boot's time; MalformedError or ValueError if it is not a memory."""
    memory = from_map(Memory, json.loads(saved))
    mover = _Mover(memory, now)
    late = tuple([replace(one, track=mover.track(one.track), heard_ms=now.monotonic_ms) for one in memory.late])
    return Mind(
        tracks={(one.rule_id, "" if one.spot else one.device_id): mover.track(one) for one in memory.alarm_tracks},
        late={(one.track.rule_id, "" if one.track.spot else one.track.device_id): one for one in late},
        cadences={one.rule_id: mover.cadence(one.state) for one in memory.cadences},
        heard={(one.device_id, one.metric): mover.heard(one) for one in memory.heard},
        contacts={one.device_id: mover.contact(one) for one in memory.contacts},
        batteries={one.device_id: one for one in memory.batteries},
        clockless=frozenset(memory.clockless),
        unsynced_since_ms=None if memory.unsynced_since_ms is None else mover.while_running(memory.unsynced_since_ms),
        standing={one.said.key: mover.said(one) for one in memory.standing},
    )


def restore_courses(saved: bytes, now: Instant) -> dict[Key, Course]:
    """The courses in the present boot's time; MalformedError or ValueError if the bytes are none."""
    kept = from_map(Courses, json.loads(saved))
    mover = _Mover(kept, now)
    return {
        (one.rule_id, one.device_id): Course(
            one.rule_id,
            one.device_id,
            mover.course(
                RateState(_read(one.points, one.first_ms), _read(one.run, one.first_ms), one.active, one.origin)
            ),
            mover.taken(one.onset),
            mover.taken(one.latest),
        )
        for one in kept.courses
    }


def _saved(course: Course) -> SavedCourse:
    state = course.state
    first_ms = min((point.at_ms for point in (*state.points, *state.run)), default=0)
    return SavedCourse(
        course.rule_id,
        course.device_id,
        first_ms,
        _written(state.points, first_ms),
        _written(state.run, first_ms),
        state.active,
        state.origin,
        course.onset,
        course.latest,
    )


def _written(points: Sequence[Point], first_ms: int) -> str:
    return ";".join(
        f"{point.at_ms - first_ms},{point.range_flag.value if point.range_flag else point.value}" for point in points
    )


def _read(text: str, first_ms: int) -> tuple[Point, ...]:
    points = []
    for piece in text.split(";") if text else ():
        since, _, said = piece.partition(",")
        flag = RangeFlag(said) if said in set(RangeFlag) else None
        points.append(Point(first_ms + int(since), None if flag else float(said), flag))
    return tuple(points)


class _Mover:
    """Moves times of the memory to the present boot."""

    def __init__(self, memory: Memory | Courses, now: Instant) -> None:
        self._memory = memory
        self._now = now
        synced = memory.quality is ClockQuality.SYNCED and now.quality is ClockQuality.SYNCED
        self._offset: int | None = None
        if memory.boot_id == now.boot_id:
            self._offset = 0
        elif synced and now.utc_ms >= memory.utc_ms:
            self._offset = now.monotonic_ms - memory.monotonic_ms - (now.utc_ms - memory.utc_ms)

    def track(self, track: Track) -> Track:
        state = track.state
        if self._memory.boot_id != self._now.boot_id:
            state = replace(state, calm_since_ms=None, last_ms=None)
        return replace(track, state=self._rule(state), onset=self.taken(track.onset), latest=self.taken(track.latest))

    def taken(self, one: AlarmInput | None) -> AlarmInput | None:
        """An input counts its running time from the alarm's own boot, or not at all."""
        if one is None or self._memory.boot_id == self._now.boot_id:
            return one
        return replace(one, monotonic_ms=None)

    def said(self, stands: Standing) -> Standing:
        said = replace(stands.said, onset=self.taken(stands.said.onset), latest=self.taken(stands.said.latest))
        return replace(stands, said=said)

    def _rule(self, state: RuleState) -> RuleState:
        now_ms = self._now.monotonic_ms
        return replace(
            state, since_ms=self._or(state.since_ms, now_ms - LONG_MS), deadline_ms=self._or(state.deadline_ms, now_ms)
        )

    def course(self, state: RateState) -> RateState:
        if self._offset is not None:
            return rates.moved(state, self._offset)
        newest = max((point.at_ms for point in (*state.points, *state.run)), default=0)
        return rates.moved(state, self._now.monotonic_ms - newest)

    def cadence(self, state: CadenceState) -> CadenceState:
        long_ago = self._now.monotonic_ms - LONG_MS
        done_ms = self._or(state.done_ms, long_ago)
        return replace(
            state,
            done_ms=long_ago if done_ms is None else done_ms,
            reminded_ms=self._or(state.reminded_ms, long_ago),
        )

    def heard(self, heard: Heard) -> Heard:
        """The radio needs time to come back, too; only a pause that had begun before goes on."""
        return replace(heard, at_ms=self.while_running(heard.at_ms) if heard.quiet else self._now.monotonic_ms)

    def contact(self, contact: Contact) -> Contact:
        lasted_ms = contact.said_ms - contact.off_since_ms
        off_since_ms = self._or(contact.off_since_ms, self._now.monotonic_ms - LONG_MS)
        assert off_since_ms is not None  # noqa: S101 - it was none that is None
        return replace(contact, off_since_ms=off_since_ms, said_ms=off_since_ms + lasted_ms)

    def while_running(self, moment: int) -> int:
        """As if the clock had stood still while the hub was off; a restart of the agent alone is not counted out."""
        if self._memory.boot_id == self._now.boot_id:
            return moment
        return self._now.monotonic_ms - (self._memory.monotonic_ms - moment)

    def _or(self, moment: int | None, unknown: int) -> int | None:
        if moment is None:
            return None
        return unknown if self._offset is None else moment + self._offset
