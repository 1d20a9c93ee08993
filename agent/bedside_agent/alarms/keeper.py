"""The hub's own alarms: keeps plan and mind, and commits every alarm with the state that made it."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from bedside_agent.alarms import lateness, memory, physiological, planned, technical
from bedside_agent.alarms.episodes import conclude, retrospective
from bedside_agent.alarms.lateness import Past
from bedside_agent.alarms.mind import Course, Finding, Key, Mind, Standing
from bedside_agent.alarms.plan import Authority, Decision, decide
from bedside_agent.alarms.watching import forget, is_of_the_patient, is_watched
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock, Instant
from bedside_agent.errors import UntrustedError
from bedside_profiles.errors import WireError
from bedside_profiles.readings import Metric, Quality, Reading
from bedside_profiles.rules.cadence import CadenceRule
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import Alarm, AlarmKind
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.command import Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.signed import SignedDocument

log = logging.getLogger(__name__)

PLAN = "alarms.plan"
MEMORY = "alarms.memory"
COURSES = "alarms.courses"
PLAN_INCOMPLETE = "plan_incomplete"
ALARM_TEST = "alarm_test"
"""The condition of an alarm by which somebody at home tries the whole path."""


class AlarmKeeper:
    """Belongs to one event loop. Nothing here waits: the store commits alarms at once, by itself.

    `remind` is told of each planned measurement when it becomes due and was not taken.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        authority: Authority,
        *,
        silence_ms: int,
        remind: Callable[[CadenceRule], None] = lambda _: None,
    ) -> None:
        self.plan: CarePlan | None = None
        self.newest: tuple[Metric, int] | None = None
        self.newest_of: dict[Metric, Reading] = {}
        """The newest reading of each metric of the patient's since the start; a plan for somebody else forgets them."""
        """What was measured of the patient last since the start, and when (UTC ms)."""
        self._store = store
        self._clock = clock
        self._authority = authority
        self._fallback = technical.defaults(silence_ms)
        self._remind = remind
        self._mind = Mind()
        self._courses: Mapping[Key, Course] = {}
        self._courses_ms = clock.now().monotonic_ms
        self._faults: dict[str, Priority] = {}
        self._is_testing = False
        self._plan_kept = asyncio.get_running_loop().create_future()
        self._plan_kept.set_result(None)
        self._restore()

    def active(self) -> tuple[str, ...]:
        """Conditions that are alarms now."""
        return tuple(sorted({stands.said.condition for stands in self._mind.standing.values()}))

    def standing(self) -> tuple[Standing, ...]:
        """Alarms that are active now, as last said."""
        return tuple(self._mind.standing.values())

    def due(self) -> tuple[CadenceRule, ...]:
        """Planned measurements of which the patient was reminded and that were not taken yet."""
        rules = self.plan.cadences if self.plan is not None and self.plan.active else ()
        cadences = self._mind.cadences
        return tuple(
            [rule for rule in rules if rule.rule_id in cadences and cadences[rule.rule_id].reminded_ms is not None]
        )

    def repeats(self) -> tuple[Metric, ...]:
        """Quantities whose single check was out of range and is to be repeated."""
        waiting = [track for track in self._mind.tracks.values() if track.state.deadline_ms is not None]
        return tuple(sorted({track.onset.metric for track in waiting if track.onset is not None}))

    def observe(self, readings: Sequence[Reading], now: Instant) -> tuple[Alarm, ...]:
        """Run the plan's rules on readings of one device that have their sequences; the alarms they raised or ended.

        What is not the patient's is left out: it is kept and sent, and no rule hears it.
        """
        plan = self.plan
        if plan is None or not readings or not is_watched(plan, readings[0].device_id, now):
            return ()
        device_id, flags = readings[0].device_id, {flag for one in readings for flag in one.quality}
        readings = [reading for reading in readings if is_of_the_patient(plan, reading)]
        if not readings and Quality.DEVICE_CLOCK_UNSET in flags:
            # Or nobody would hear why the device's readings are in quarantine.
            return self._hear(device_id, now, lambda mind: technical.without_clock(mind, device_id))
        if not readings:
            return ()
        newest = max(readings, key=lambda one: one.taken_at_ms)
        if self.newest is None or newest.taken_at_ms >= self.newest[1]:
            self.newest = newest.metric, newest.taken_at_ms
        for one in readings:
            known = self.newest_of.get(one.metric)
            if known is None or one.taken_at_ms >= known.taken_at_ms:
                self.newest_of[one.metric] = one
        before, mind, alarms = self._mind, self._mind, list[Alarm]()
        live = [reading for reading in readings if not lateness.is_late(reading, now)]
        if live:
            mind = technical.hear(mind, device_id, live, now)
        together = list[Reading]()
        for reading in readings:
            if any(one.metric is reading.metric for one in together):
                # Two values of one quantity in a frame: what the first raised, the second may end.
                mind, said = self._conclude(plan, mind, now, together)
                alarms += said
                together.clear()
            together.append(reading)
            mind = planned.observe(plan, physiological.follow(plan, mind, reading, now), reading, now)
            if lateness.is_late(reading, now):
                mind, over = lateness.observe(plan, mind, reading, now)
                alarms += self._past(plan, over, now)
            else:
                mind = physiological.observe(plan, mind, reading, now)
        mind, said = self._conclude(plan, mind, now, together)
        return self._keep(before, mind, [*alarms, *said], now)

    def sensor_off(self, device_id: str, now: Instant) -> tuple[Alarm, ...]:
        """The device said, without giving a reading, that its sensor is not on the body."""
        return self._hear(device_id, now, lambda mind: technical.touch(mind, device_id, now, contact=False))

    def battery(self, device_id: str, percent: int, now: Instant) -> tuple[Alarm, ...]:
        """The device said how full its battery is."""
        return self._hear(device_id, now, lambda mind: technical.charge(mind, device_id, percent))

    def fault(self, condition: str, priority: Priority | None) -> None:
        """A fault of the hub itself is there, or (None) is no more; it is an alarm from the next tick on."""
        if priority is None:
            self._faults.pop(condition, None)
        else:
            self._faults[condition] = priority

    def test(self, *, on: bool) -> None:
        """A test alarm is there from the next tick on, or no more. It does not outlive the process."""
        self._is_testing = on

    def faults(self) -> tuple[str, ...]:
        """Conditions of the hub's own faults, whether or not a plan makes alarms of them."""
        return tuple(sorted(self._faults))

    def tick(self) -> tuple[Alarm, ...]:
        """Let time pass: repeats that never came, devices that fell silent. To be called about every second."""
        plan, now = self.plan, self._clock.now()
        if plan is None or not plan.active:
            return ()
        before = self._mind
        mind, over = lateness.settle(plan, forget(plan, before, now), now)
        mind = technical.pass_time(plan, physiological.pass_time(plan, mind, now), now)
        mind, reminders = planned.pass_time(plan, mind, now)
        mind, said = self._conclude(plan, mind, now)
        alarms = self._keep(before, mind, [*self._past(plan, over, now), *said], now)
        for rule in reminders:
            self._remind(rule)
        return alarms

    async def offer(self, document: SignedDocument) -> Reply:
        """Decide on a plan that came down and answer it, once it is on the disk.

        UntrustedError or WireError when it is not to be answered.
        """
        heading, plan = self._authority.offered_plan(document)
        if isinstance(plan, WireError):
            log.error("plan.refused", extra={"reason": plan.reason})
            return Reply(
                SCHEMA_VERSION, heading.hub_id, heading.plan_id, Outcome.REFUSED, heading.version, plan.reason[:1000]
            )
        decision = decide(self.plan, plan)
        if decision is Decision.APPLY:
            self._apply(plan, document)
        # Several copies of one plan may wait here: one that stops waiting must not end the others' wait.
        await asyncio.shield(self._plan_kept)
        applied = decision in (Decision.APPLY, Decision.KEEP)
        missing = plan.not_understood()
        reason = f"not_understood: {', '.join(missing)}" if missing else ""
        return Reply(
            SCHEMA_VERSION,
            plan.hub_id,
            plan.plan_id,
            Outcome.APPLIED if applied else Outcome.REFUSED,
            plan.version,
            reason if applied else decision.value,
        )

    def _apply(self, plan: CarePlan, document: SignedDocument) -> None:
        """Rules that the plan keeps go on where they stood; what it drops is cleared, for the patient it was raised of.

        A person decided that, and nobody would ever clear it otherwise.
        """
        now, before, mind = self._clock.now(), self._mind, self._mind
        missing = plan.not_understood()
        alarms: tuple[Alarm, ...] = ()
        patients = {stands.patient_id for stands in mind.standing.values()}
        patients |= {self.plan.patient_id} if self.plan is not None else set()
        if not plan.active or patients - {plan.patient_id}:
            ended = conclude(self.plan or plan, mind.standing, (), now, _new_episode)
            alarms, mind = ended.alarms, Mind(unsynced_since_ms=mind.unsynced_since_ms)
        mind = physiological.pass_time(plan, forget(plan, mind, now), now)
        if self.plan is not None and plan.patient_id != self.plan.patient_id:
            self.newest = None
            self.newest_of.clear()
        self.plan = plan
        self.fault(PLAN_INCOMPLETE, Priority.MEDIUM if missing else None)
        if plan.active:
            mind, said = self._conclude(plan, mind, now)
            alarms = (*alarms, *said)
        self._plan_kept = self._store.put_state({PLAN: encode(document)})
        self._keep(before, mind, alarms, now)
        log.info("plan.applied", extra={"plan_id": plan.plan_id, "plan_version": plan.version, "missing": missing})

    def _hear(self, device_id: str, now: Instant, change: Callable[[Mind], Mind]) -> tuple[Alarm, ...]:
        plan = self.plan
        if plan is None or not is_watched(plan, device_id, now):
            return ()
        before = self._mind
        mind, alarms = self._conclude(plan, change(before), now)
        return self._keep(before, mind, alarms, now)

    def _conclude(
        self, plan: CarePlan, mind: Mind, now: Instant, readings: Sequence[Reading] = ()
    ) -> tuple[Mind, tuple[Alarm, ...]]:
        concluded = conclude(plan, mind.standing, self._findings(plan, mind, now), now, _new_episode, readings)
        return replace(mind, standing=concluded.standing), concluded.alarms

    def _findings(self, plan: CarePlan, mind: Mind, now: Instant) -> Iterator[Finding]:
        found = tuple(physiological.findings(plan, mind))
        yield from found
        alarming = frozenset(one.device_id for one in found if one.device_id)
        yield from technical.findings(plan, mind, alarming, now, self._fallback)
        yield from planned.findings(plan, mind)
        for condition, priority in self._faults.items():
            yield Finding(condition, AlarmKind.TECHNICAL, priority)
        if self._is_testing:
            yield Finding(ALARM_TEST, AlarmKind.TECHNICAL, Priority.HIGH, test=True)

    def _past(self, plan: CarePlan, over: Sequence[Past], now: Instant) -> list[Alarm]:
        return [alarm for one in over for alarm in retrospective(plan, one, now, _new_episode)]

    def _keep(self, before: Mind, mind: Mind, drafts: Sequence[Alarm], now: Instant) -> tuple[Alarm, ...]:
        """Commit the alarms; the state goes with the last, so that a crash in between repeats one and loses none."""
        changed = memory.essence(mind) != memory.essence(before)
        self._mind = mind
        state = {MEMORY: memory.save(mind, now)} if changed or drafts else {}
        due = now.monotonic_ms - self._courses_ms >= memory.COURSES_EVERY_MS
        if mind.courses is not self._courses and (due or state):
            state[COURSES] = memory.save_courses(mind, now)
            self._courses, self._courses_ms = mind.courses, now.monotonic_ms
        alarms = [
            self._store.append_alarm(draft, state if place == len(drafts) - 1 else {})[0]
            for place, draft in enumerate(drafts)
        ]
        if state and not drafts:
            self._store.put_state(state)
        for alarm in alarms:
            log.warning(
                "alarm." + alarm.state.value,
                extra={"condition": alarm.condition, "alarm_priority": alarm.priority.value},
            )
        return tuple(alarms)

    def _restore(self) -> None:
        """Last-known-good: what cannot be read is reported and left out, because a hub without it still measures."""
        document = self._store.state.get(PLAN)
        if document is not None:
            try:
                self.plan = self._authority.care_plan(decode(SignedDocument, document))
            except (UntrustedError, WireError) as error:
                log.error("plan.stored_one_refused", extra={"reason": str(error)})
        if self.plan is not None and self.plan.not_understood():
            self.fault(PLAN_INCOMPLETE, Priority.MEDIUM)
        saved = self._store.state.get(MEMORY)
        if saved is not None:
            try:
                self._mind = memory.restore(saved, self._clock.now())
            except (WireError, ValueError) as error:
                log.error("alarms.memory_unreadable", extra={"reason": str(error)})
        courses = self._store.state.get(COURSES)
        if courses is not None:
            try:
                self._courses = memory.restore_courses(courses, self._clock.now())
                self._mind = replace(self._mind, courses=self._courses)
            except (WireError, ValueError) as error:
                log.error("alarms.courses_unreadable", extra={"reason": str(error)})


def _new_episode() -> str:
    return str(uuid.uuid4())
