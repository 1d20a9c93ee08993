"""The hub's clock as the agent uses it: the kernel's where that knows the time, the cloud's word where it does not.

Whatever was taken before the time was known gets its time when it is sent. The store keeps what was seen: order and
distance never depend on a wall clock.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from bedside_agent.clock import Clock, Instant
from bedside_agent.timekeeping.boots import MOST_BOOTS, Anchor, Boot, resolve
from bedside_profiles.errors import WireError
from bedside_profiles.readings import ClockQuality, Reading
from bedside_profiles.wire.alarm import Alarm, AlarmInput
from bedside_profiles.wire.events import Event
from bedside_profiles.wire.fields import from_map, to_map

log = logging.getLogger(__name__)

Item = TypeVar("Item")

BOOTS = "clock.boots"

STEP_MS = 250
"""The wall clock was set when it is this far from where it should be; time services slew what is less."""

ANCHOR_EVERY_MS = 3_600_000
"""The present moment is noted this often while the time is known: one small write an hour."""

GOOD_FOR_MS = 5 * 3_600_000
"""A crystal of a Raspberry Pi is right within 50 parts in a million: 0.9 s in five hours without a time service."""

SLOWEST_ANSWER_MS = 1_500
"""The cloud's time is wrong by half of the answer's delay at most; a slower answer says too little."""

DISAGREES_MS = 5_000
"""Between the kernel's time and the cloud's: more is a fault of one of them that a technician must know of."""

Note = Callable[[str, Mapping[str, str]], None]
"""Reports an event of that kind with its details."""


@dataclass(frozen=True, slots=True)
class Boots:
    """What is kept in the store."""

    boots: tuple[Boot, ...] = ()


class TimeKeeper:
    """A `Clock`. `saved` is what `keep` was last given, under the same name; `newest` is the store's newest reading.

    To be called about every second: `tick`. Belongs to one event loop.
    """

    def __init__(
        self,
        kernel: Clock,
        saved: bytes | None,
        newest: Reading | None,
        keep: Callable[[Mapping[str, bytes]], object],
        note: Note,
    ) -> None:
        self._kernel = kernel
        self._keep = keep
        self._note = note
        self._boots = _loaded(saved)
        self._disagreed = False
        self._seen: Anchor | None = None
        now = kernel.now()
        if not self._boots or self._boots[-1].boot_id != now.boot_id:
            self._begin(now, newest)
        self.tick()

    # The clock -------------------------------------------------------------------------------------------------------

    def now(self) -> Instant:
        """The present moment: `synced` while it is right within a second."""
        now = self._kernel.now()
        anchor = self._newest_anchor()
        if now.quality is ClockQuality.SYNCED or anchor is None:
            return now
        good = now.monotonic_ms - anchor.monotonic_ms <= GOOD_FOR_MS
        quality = ClockQuality.SYNCED if good else ClockQuality.UNSYNCED
        return replace(now, utc_ms=now.monotonic_ms + anchor.offset_ms, quality=quality)

    @property
    def knows_time(self) -> bool:
        """Whether the time was ever known in this boot: then everything that the store holds can be timed."""
        return self._newest_anchor() is not None

    @property
    def floor_ms(self) -> int:
        """It is not earlier than this (UTC): the latest moment that was ever known. 0 on a hub's first day."""
        return max((anchor.utc_ms for boot in self._boots for anchor in boot.anchors), default=0)

    def kernel_knows_time(self) -> bool:
        """Whether programs that ask the kernel alone, as TLS does, get the right time."""
        return self._kernel.now().quality is ClockQuality.SYNCED

    # Learning the time -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at the kernel's clock: whether it knows the time now, still knows it, or was set."""
        now = self._kernel.now()
        before, self._seen = self._seen, None
        if now.quality is not ClockQuality.SYNCED:
            if before is not None:
                self._anchor(before)
            return
        here = self._seen = Anchor(now.monotonic_ms, now.utc_ms)
        if before is None:
            self._note("clock_synced", {"by": "time_service", "milliseconds": str(self._set_by(here))})
            self._anchor(here)
        elif abs(here.offset_ms - before.offset_ms) >= STEP_MS:
            self._note("clock_stepped", {"milliseconds": str(here.offset_ms - before.offset_ms)})
            self._anchor(before, here)
        elif here.monotonic_ms - self._boots[-1].anchors[-1].monotonic_ms >= ANCHOR_EVERY_MS:
            self._anchor(here)

    def hear_cloud(self, asked_monotonic_ms: int, cloud_ms: int) -> None:
        """The cloud said that it was `cloud_ms` after the hub had asked at `asked_monotonic_ms` of this boot."""
        now = self._kernel.now()
        delay_ms = now.monotonic_ms - asked_monotonic_ms
        if not 0 <= delay_ms <= SLOWEST_ANSWER_MS:
            return
        here = Anchor(now.monotonic_ms, cloud_ms + delay_ms // 2)
        if now.quality is ClockQuality.SYNCED:
            self._compare(here.utc_ms - now.utc_ms)
            return
        last = self._newest_anchor()
        if last is None or now.monotonic_ms - last.monotonic_ms >= ANCHOR_EVERY_MS:
            if last is None:
                self._note("clock_synced", {"by": "cloud", "milliseconds": str(self._set_by(here))})
            self._anchor(here)

    def _compare(self, ahead_ms: int) -> None:
        disagrees = abs(ahead_ms) > DISAGREES_MS
        if disagrees and not self._disagreed:
            self._note("clock_disagrees", {"cloud_ahead_milliseconds": str(ahead_ms)})
        self._disagreed = disagrees

    # Timing what was taken -------------------------------------------------------------------------------------------

    def timed(self, item: Item) -> Item:
        """A reading, alarm or event with the best time that can be said of it now; anything else as it is."""
        if isinstance(item, Reading) and item.clock_quality is ClockQuality.UNSYNCED:
            found = resolve(self._boots, item.boot_id, item.monotonic_ms)
            return item if found is None else replace(item, taken_at_ms=found.utc_ms, clock_quality=found.quality)
        if isinstance(item, Alarm):
            return cast("Item", self._timed_alarm(item))
        if isinstance(item, Event):
            found = resolve(self._boots, item.boot_id, item.monotonic_ms)
            return item if found is None else replace(item, at_ms=found.utc_ms)
        return item

    def _timed_alarm(self, alarm: Alarm) -> Alarm:
        inputs = tuple([self._timed_input(one, alarm.boot_id) for one in alarm.inputs])
        times = {before.taken_at_ms: after.taken_at_ms for before, after in zip(alarm.inputs, inputs, strict=True)}
        onset_ms = times.get(alarm.onset_ms, alarm.onset_ms)
        if alarm.clock_quality is not ClockQuality.UNSYNCED:
            return replace(alarm, onset_ms=onset_ms, inputs=inputs)
        found = resolve(self._boots, alarm.boot_id, alarm.monotonic_ms)
        if found is None:
            return alarm
        if onset_ms == alarm.onset_ms:
            # An onset without an input lies as far before the alarm as it did on the clock of that time.
            onset_ms = max(0, found.utc_ms - max(0, alarm.at_ms - alarm.onset_ms))
        return replace(alarm, at_ms=found.utc_ms, onset_ms=onset_ms, inputs=inputs, clock_quality=found.quality)

    def _timed_input(self, one: AlarmInput, boot_id: str) -> AlarmInput:
        found = None if one.monotonic_ms is None else resolve(self._boots, boot_id, one.monotonic_ms)
        if found is None or abs(found.utc_ms - one.taken_at_ms) < STEP_MS:
            return one
        return replace(one, taken_at_ms=found.utc_ms)

    # The record ------------------------------------------------------------------------------------------------------

    def _begin(self, now: Instant, newest: Reading | None) -> None:
        boots = list(self._boots)
        if boots and newest is not None and newest.boot_id == boots[-1].boot_id:
            boots[-1] = replace(boots[-1], last_monotonic_ms=newest.monotonic_ms)
        boots.append(Boot(now.boot_id, now.utc_ms - now.monotonic_ms))
        self._boots = tuple(boots[-MOST_BOOTS:])
        self._save()

    def _anchor(self, *anchors: Anchor) -> None:
        boot = self._boots[-1]
        for anchor in anchors:
            if not boot.anchors or anchor.monotonic_ms > boot.anchors[-1].monotonic_ms:
                boot = boot.with_anchor(anchor)
        self._boots = (*self._boots[:-1], boot)
        self._save()

    def _newest_anchor(self) -> Anchor | None:
        anchors = self._boots[-1].anchors
        return self._seen or (anchors[-1] if anchors else None)

    def _set_by(self, here: Anchor) -> int:
        last = self._newest_anchor()
        return here.offset_ms - (self._boots[-1].first_offset_ms if last is None else last.offset_ms)

    def _save(self) -> None:
        self._keep({BOOTS: json.dumps(to_map(Boots(self._boots)), separators=(",", ":")).encode()})


def _loaded(saved: bytes | None) -> tuple[Boot, ...]:
    if saved is None:
        return ()
    try:
        return from_map(Boots, json.loads(saved)).boots
    except (ValueError, WireError) as error:
        # Then only this boot can be timed: what earlier ones left keeps the clock's own word.
        log.error("clock.boots_unreadable", extra={"reason": str(error)})
        return ()
