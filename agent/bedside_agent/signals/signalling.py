"""What is given when: pure decisions over what stands, what was acknowledged, and the time of day.

High priority sounds until it is acknowledged or over, at any hour. Medium sounds so too, but not in quiet hours; low
sounds once, and not in quiet hours. Light goes with all of them and is never quiet. An acknowledgement covers an alarm
as urgent as it was: one that got worse is heard anew. A test sounds once, at any hour, and after all that is real.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import ORDER, Priority
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.alert import AlertNotice, AlertStage

PAUSE_SECONDS = 600
"""How long somebody at home can make what stands be quiet; it ends early with anything that is new or worse."""

AGAIN = "again:"
DUE = "due:"
"""How the keys of reminders begin."""


@dataclass(frozen=True, slots=True)
class Alarming:
    """An alarm that is active, as far as the patient's ears are concerned."""

    episode: str
    condition: str
    kind: AlarmKind
    priority: Priority
    level: int
    metric: Metric | None
    test: bool = False

    @property
    def urgency(self) -> tuple[int, int]:
        """Grows when it gets worse."""
        return (ORDER.index(self.priority), self.level)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Minutes of the local day, from `start` up to `end`; over midnight when `end` is not later. Equal: none."""

    start: int = 0
    end: int = 0

    def holds(self, minute: int | None) -> bool:
        """Whether this minute of the day is quiet; never when nobody knows it."""
        if minute is None:
            return False
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be given now. `loud`: what sounds and is spoken of; `lit`: how the light blinks; `due` and `again`:
    what is to be measured.

    `key` differs whenever the sound has to begin anew; `once`: it does not repeat.
    """

    lit: Priority | None = None
    loud: Alarming | None = None
    due: Metric | None = None
    again: Metric | None = None
    once: bool = False
    key: tuple[str, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What must be kept between decisions: urgency that was acknowledged or paused, by episode; what sounded once."""

    acknowledged: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    paused: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    paused_until_ms: int = 0
    sounded: frozenset[tuple[str, int, int]] = frozenset()


def hear(told: Told, alarms: Iterable[Alarming], notices: Iterable[AlertNotice]) -> Told:
    """After the cloud said what became of alarms. What it takes back is no longer acknowledged."""
    standing = {one.episode: one for one in alarms}
    known = {episode: urgency for episode, urgency in told.acknowledged.items() if episode in standing}
    for notice in notices:
        alarm = standing.get(notice.episode or "")
        if alarm is None:
            continue
        if notice.stage is not AlertStage.ACKNOWLEDGED:
            known.pop(alarm.episode, None)
        elif notice.priority is not None:
            # As urgent as the person saw it: a hub knows of a worsening before they do.
            known[alarm.episode] = min(alarm.urgency, (ORDER.index(notice.priority), alarm.level))
        else:
            known.setdefault(alarm.episode, alarm.urgency)
    return replace(told, acknowledged=known)


def pause(told: Told, alarms: Iterable[Alarming], now_ms: int) -> Told:
    """Somebody at home has heard what stands now: it is quiet for a while. Only a clinician's word makes it quiet."""
    return replace(
        told, paused={one.episode: one.urgency for one in alarms}, paused_until_ms=now_ms + PAUSE_SECONDS * 1000
    )


def decide(
    told: Told,
    alarms: Iterable[Alarming],
    due: Iterable[Metric],
    quiet: QuietHours,
    minute: int | None,
    now_ms: int,
    repeats: Iterable[Metric] = (),
) -> tuple[Told, Wanted]:
    """What is to be given at this minute of the local day, and this monotonic millisecond: the most urgent first.

    `repeats` are checks to be made again, which is asked for at every hour: the patient has just made one.
    """
    alarms = tuple(alarms)
    repeated = {(AGAIN + metric.value, 0, 0): metric for metric in repeats}
    if now_ms >= told.paused_until_ms:
        told = replace(told, paused={})
    lit = max((one.priority for one in alarms), key=ORDER.index, default=None)
    waiting = {(DUE + metric.value, 0, 0): metric for metric in due}
    keys = {*map(_key, alarms), *waiting, *repeated}
    told = replace(told, sounded=told.sounded & keys)
    for alarm in sorted(alarms, key=lambda one: (not one.test, one.urgency), reverse=True):
        if not _may_sound(told, alarm, quiet.holds(minute)):
            continue
        key, once = _key(alarm), alarm.test or alarm.priority in (Priority.LOW, Priority.INFO)
        if once:
            if key in told.sounded:
                continue
            told = replace(told, sounded=told.sounded | {key})
        return told, Wanted(lit, alarm, once=once, key=key)
    for key, metric in repeated.items():
        if key not in told.sounded:
            return replace(told, sounded=told.sounded | {key}), Wanted(lit, again=metric, once=True, key=key)
    for key, metric in waiting.items():
        if key not in told.sounded and not quiet.holds(minute):
            return replace(told, sounded=told.sounded | {key}), Wanted(lit, due=metric, once=True, key=key)
    return told, Wanted(lit)


def _may_sound(told: Told, alarm: Alarming, quiet_now: bool) -> bool:
    if quiet_now and alarm.priority is not Priority.HIGH:
        return False
    covered = [known[alarm.episode] for known in (told.acknowledged, told.paused) if alarm.episode in known]
    return all(alarm.urgency > urgency for urgency in covered)


def _key(alarm: Alarming) -> tuple[str, int, int]:
    return (alarm.episode, *alarm.urgency)
