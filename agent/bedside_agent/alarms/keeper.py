"""The hub's own alarms: keeps plan, tracks and silences, and commits every alarm with the state that made it."""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence

from bedside_agent.alarms import evaluator, memory, silence
from bedside_agent.alarms.evaluator import Track, is_watched
from bedside_agent.alarms.plan import Authority, Decision, decide
from bedside_agent.alarms.silence import Heard
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Clock, Instant
from bedside_agent.errors import UntrustedError
from bedside_profiles.errors import WireError
from bedside_profiles.readings import Modality, Reading
from bedside_profiles.rules.thresholds import Phase
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.careplan import CarePlan
from bedside_profiles.wire.command import Outcome, Reply
from bedside_profiles.wire.kinds import SCHEMA_VERSION
from bedside_profiles.wire.messages import decode, encode
from bedside_profiles.wire.signed import SignedDocument

log = logging.getLogger(__name__)

PLAN = "alarms.plan"
MEMORY = "alarms.memory"


class AlarmKeeper:
    """Belongs to one event loop. Nothing here waits: the store commits alarms at once, by itself."""

    def __init__(self, store: Store, clock: Clock, authority: Authority, *, silence_ms: int) -> None:
        self.plan: CarePlan | None = None
        self._store = store
        self._clock = clock
        self._authority = authority
        self._silence_ms = silence_ms
        self._tracks: Mapping[str, Track] = {}
        self._heard: Mapping[str, Heard] = {}
        self._plan_kept = asyncio.get_running_loop().create_future()
        self._plan_kept.set_result(None)
        self._restore()

    def active(self) -> tuple[str, ...]:
        """Conditions that are alarms now."""
        conditions = {track.rule.condition for track in self._tracks.values() if track.episode and track.rule}
        if any(heard.episode for heard in self._heard.values()):
            conditions.add(silence.CONDITION)
        return tuple(sorted(conditions))

    def observe(self, readings: Sequence[Reading], now: Instant) -> tuple[Alarm, ...]:
        """Run the plan's rules on readings of one device that have their sequences; the alarms they raised or ended."""
        plan = self.plan
        if plan is None or not readings or not is_watched(plan, readings[0].device_id, now):
            return ()
        tracks, heard, alarms = self._tracks, self._heard, list[Alarm]()
        for reading in readings:
            outcome = evaluator.observe(plan, tracks, reading, _new_episode)
            tracks = outcome.tracks
            alarms.extend(outcome.alarms)
        if any(reading.modality is Modality.CONTINUOUS for reading in readings):
            heard, over = silence.hear(plan, heard, readings[0].device_id, now)
            alarms.extend([over] if over else [])
        return self._keep(tracks, heard, alarms, now)

    def tick(self) -> tuple[Alarm, ...]:
        """Let time pass: repeats that never came, devices that fell silent. To be called about every second."""
        plan, now = self.plan, self._clock.now()
        if plan is None or not plan.active:
            return ()
        outcome = evaluator.pass_time(plan, self._tracks, now, _new_episode)
        alarming = frozenset(track.device_id for track in outcome.tracks.values() if track.episode and track.device_id)
        heard, over = silence.forget(plan, self._heard, lambda device_id: is_watched(plan, device_id, now), now)
        heard, silent = silence.pass_time(plan, heard, alarming, now, self._silence_ms, _new_episode)
        return self._keep(outcome.tracks, heard, (*outcome.alarms, *over, *silent), now)

    async def offer(self, document: SignedDocument) -> Reply:
        """Decide on a plan that came down and answer it, once it is on the disk.

        UntrustedError or WireError when it is not to be answered.
        """
        plan = self._authority.care_plan(document)
        decision = decide(self.plan, plan)
        if decision is Decision.APPLY:
            self._apply(plan, document)
        # Several copies of one plan may wait here: one that stops waiting must not end the others' wait.
        await asyncio.shield(self._plan_kept)
        applied = decision in (Decision.APPLY, Decision.KEEP)
        return Reply(
            SCHEMA_VERSION,
            plan.hub_id,
            plan.plan_id,
            Outcome.APPLIED if applied else Outcome.REFUSED,
            plan.version,
            "" if applied else decision.value,
        )

    def _apply(self, plan: CarePlan, document: SignedDocument) -> None:
        now = self._clock.now()
        before, self.plan = self.plan, plan
        outcome = evaluator.change_plan(before, plan, self._tracks, now)
        heard, over = silence.forget(
            before or plan, self._heard, lambda device_id: is_watched(plan, device_id, now), now
        )
        self._plan_kept = self._store.put_state({PLAN: encode(document)})
        self._keep(outcome.tracks, heard, (*outcome.alarms, *over), now)
        log.info("plan.applied", extra={"plan_id": plan.plan_id, "plan_version": plan.version})

    def _keep(
        self, tracks: Mapping[str, Track], heard: Mapping[str, Heard], drafts: Iterable[Alarm], now: Instant
    ) -> tuple[Alarm, ...]:
        """Commit the alarms; the state goes with the last, so that a crash in between repeats one and loses none."""
        changed = _essence(tracks, heard) != _essence(self._tracks, self._heard)
        self._tracks, self._heard = tracks, heard
        drafts = list(drafts)
        state = {MEMORY: memory.save(tracks, heard, now)} if changed or drafts else {}
        alarms = [
            self._store.append_alarm(draft, state if place == len(drafts) - 1 else {})[0]
            for place, draft in enumerate(drafts)
        ]
        if changed and not drafts:
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
        saved = self._store.state.get(MEMORY)
        if saved is not None:
            try:
                self._tracks, self._heard = memory.restore(saved, self._clock.now())
            except (WireError, ValueError) as error:
                log.error("alarms.memory_unreadable", extra={"reason": str(error)})


def _essence(tracks: Mapping[str, Track], heard: Mapping[str, Heard]) -> object:
    """What is worth a write: not the time of the newest reading, which changes with each one."""
    return (
        {
            rule_id: (track.state.phase, track.state.since_ms, track.state.deadline_ms, track.episode, track.onset)
            for rule_id, track in tracks.items()
            if track.state.phase is not Phase.NORMAL
        },
        {device_id: last.episode for device_id, last in heard.items()},
    )


def _new_episode() -> str:
    return str(uuid.uuid4())
