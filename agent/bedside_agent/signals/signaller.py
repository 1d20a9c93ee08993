"""Gives the patient what is decided, and says when it cannot."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bedside_agent.clock import Clock
from bedside_agent.signals import sentences
from bedside_agent.signals.signal import Pattern, Signal
from bedside_agent.signals.signalling import Alarming, QuietHours, Told, Wanted, decide, hear, pause
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.alert import AlertNotice

CANNOT_ALERT = "cannot_alert_patient"
"""The condition of a hub whose sound does not work."""

SOUND = "sound"
GOT_IT = "got_it"
TEST_EVERY_MS = 86_400_000
RETEST_EVERY_MS = 60_000
"""How soon what does not work is tried again."""

LOOK_SECONDS = 1.0

ONCE_MS = 30_000
"""So long what sounds once may take to its end."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What stands now, what is due, what the cloud said, and whom the patient may call."""

    alarms: Sequence[Alarming] = ()
    due: Sequence[Metric] = ()
    repeats: Sequence[Metric] = ()
    notices: Sequence[AlertNotice] = ()
    emergency_number: str = ""
    call_back_number: str = ""


@dataclass(slots=True)
class _Now:
    """What is being given."""

    lit: Priority | None = None
    key: tuple[str, int, int] | None = None
    once: bool = False
    once_until_ms: int = 0
    tested_ms: int | None = None
    broken: dict[str, str] = field(default_factory=dict)


class Signaller:
    """`signals` by name; the one called `sound` decides whether the patient can be alerted.

    `report` is told of a signal's name and why it does not work, or None when it works again. `minute` is the local
    time of day, None while it is not known: then no hour is quiet.
    """

    def __init__(
        self,
        signals: Mapping[str, Signal],
        clock: Clock,
        situation: Callable[[], Situation],
        report: Callable[[str, str | None], None],
        minute: Callable[[], int | None],
        *,
        quiet: QuietHours,
        language: str = sentences.ENGLISH,
    ) -> None:
        self._signals = dict(signals)
        self._lights = {name: one for name, one in signals.items() if name == "light"}
        self._clock = clock
        self._situation = situation
        self._report = report
        self._minute = minute
        self._quiet = quiet
        self._say = sentences.translator(language)
        self._told = Told()
        self._now = _Now()
        self._got = 0

    @property
    def broken(self) -> Mapping[str, str]:
        """Signals that do not work, and why."""
        return self._now.broken

    def pause(self) -> None:
        """Somebody at home has heard it."""
        self._told = pause(self._told, self._situation().alarms, self._clock.now().monotonic_ms)

    def got_it(self) -> None:
        """What the patient has just measured is kept: told by a short sound, where nothing else sounds."""
        self._got += 1

    async def run(self) -> None:
        """Give what is wanted, until cancelled; then everything is quiet."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for signal in self._signals.values():
                await signal.stop()

    async def look(self) -> None:
        """Look once at what stands, and at the signals themselves when their test is due."""
        now_ms = self._clock.now().monotonic_ms
        situation = self._situation()
        self._told = hear(self._told, situation.alarms, situation.notices)
        self._told, wanted = decide(
            self._told,
            situation.alarms,
            situation.due,
            self._quiet,
            self._minute(),
            now_ms,
            situation.repeats,
        )
        if self._got and wanted.key is None and not self._quiet.holds(self._minute()):
            wanted = replace(wanted, key=(GOT_IT, now_ms, 0), once=True)
        self._got = 0
        await self._give(wanted, situation, now_ms)
        for name, signal in self._signals.items():
            if self._gives(name):
                self._note(name, signal.trouble)
        every_ms = RETEST_EVERY_MS if self._now.broken else TEST_EVERY_MS
        if self._now.tested_ms is None or now_ms - self._now.tested_ms >= every_ms:
            self._now.tested_ms = now_ms
            await self._test()

    async def _give(self, wanted: Wanted, situation: Situation, now_ms: int) -> None:
        now = self._now
        if wanted.lit is not now.lit:
            now.lit = wanted.lit
            for light in self._lights.values():
                if wanted.lit is None:
                    await light.stop()
                else:
                    await light.start(Pattern(wanted.lit))
        if wanted.key == now.key or (wanted.key is None and now.once and now_ms < now.once_until_ms):
            # What sounds once ends by itself.
            return
        now.key, now.once, now.once_until_ms = wanted.key, wanted.once, now_ms + ONCE_MS
        for name, signal in self._signals.items():
            if name in self._lights:
                continue
            if wanted.key is None:
                await signal.stop()
            else:
                await signal.start(self._pattern(wanted, situation))

    def _pattern(self, wanted: Wanted, situation: Situation) -> Pattern:
        alarm = wanted.loud
        if wanted.key is not None and wanted.key[0] == GOT_IT:
            return Pattern(Priority.INFO, repeats=False, is_got_it=True)
        if alarm is None:
            said = sentences.due(self._say, wanted.due) if wanted.due else ()
            said = sentences.again(self._say, wanted.again) if wanted.again else said
            return Pattern(Priority.INFO, repeats=False, sentences=said)
        if alarm.test:
            said = sentences.test(self._say)
        elif alarm.kind is AlarmKind.TECHNICAL:
            said = sentences.technical(self._say, alarm.condition)
        else:
            numbers = (situation.emergency_number, situation.call_back_number)
            said = sentences.alarm(self._say, alarm.metric, *numbers)
        return Pattern(alarm.priority, repeats=not wanted.once, sentences=said)

    async def _test(self) -> None:
        for name, signal in self._signals.items():
            if not self._gives(name):
                self._note(name, await signal.works())

    def _gives(self, name: str) -> bool:
        """Whether it is being given, so that a test would get into its way, and none is needed."""
        return self._now.lit is not None if name in self._lights else self._now.key is not None

    def _note(self, name: str, reason: str | None) -> None:
        if reason == self._now.broken.get(name):
            return
        if reason is None:
            del self._now.broken[name]
        else:
            self._now.broken[name] = reason
        self._report(name, reason)
