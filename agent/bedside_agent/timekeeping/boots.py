"""From a boot and its monotonic milliseconds to UTC, once the time was known in that boot or in a later one. Pure.

A Raspberry Pi has no clock of its own: after a power cut it wakes up in 1970, at its last shutdown, or wherever a bad
battery left it. Its monotonic clock is right within each boot. An *anchor* is a moment of which both times are known.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bedside_profiles.readings import ClockQuality

MOST_BOOTS = 128
"""Boots that are remembered: more than a hub has in the weeks that its store can bridge."""

MOST_ANCHORS = 24
"""Of one boot. Beyond that the oldest but the first goes: a day between two anchors is bridged by their line."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A moment on both time lines."""

    monotonic_ms: int
    utc_ms: int

    @property
    def offset_ms(self) -> int:
        """What is added to monotonic milliseconds to get UTC."""
        return self.utc_ms - self.monotonic_ms


@dataclass(frozen=True, slots=True)
class Boot:
    """`first_offset_ms` is what the wall clock claimed at the start, right or wrong.

    `last_monotonic_ms` is that of the newest reading which a boot left behind; None for the present one.
    """

    boot_id: str
    first_offset_ms: int
    last_monotonic_ms: int | None = None
    anchors: tuple[Anchor, ...] = ()

    def with_anchor(self, anchor: Anchor) -> "Boot":
        """Also known from now on. Anchors come in the order of their moments."""
        anchors = (*self.anchors, anchor)
        if len(anchors) > MOST_ANCHORS:
            anchors = (anchors[0], *anchors[2:])
        return replace(self, anchors=anchors)

    def known_utc_ms(self, monotonic_ms: int) -> int | None:
        """UTC of that moment, if the time was ever known in this boot.

        Between two anchors on their line, which takes the crystal's error out; before the first and after the last
        at their distance.
        """
        if not self.anchors:
            return None
        for earlier, later in itertools.pairwise(self.anchors):
            if earlier.monotonic_ms <= monotonic_ms < later.monotonic_ms:
                part = (monotonic_ms - earlier.monotonic_ms) / (later.monotonic_ms - earlier.monotonic_ms)
                return monotonic_ms + earlier.offset_ms + round(part * (later.offset_ms - earlier.offset_ms))
        nearest = self.anchors[0] if monotonic_ms < self.anchors[0].monotonic_ms else self.anchors[-1]
        return monotonic_ms + nearest.offset_ms


@dataclass(frozen=True, slots=True)
class Resolved:
    """UTC milliseconds, and how they were found."""

    utc_ms: int
    quality: ClockQuality


def resolve(boots: Sequence[Boot], boot_id: str, monotonic_ms: int) -> Resolved | None:
    """When that moment was; None while it cannot be said.

    `boots` stand in their order, the present one last. A boot in which the time was never known lies between its
    neighbours: it began after the one before had ended and ended before the next began. Within these bounds its own
    wall clock is believed; beyond them it is taken to have ended when the next began, because a power cut that is
    followed by a start is mostly short. Order is kept either way.
    """
    place = next((place for place, boot in enumerate(boots) if boot.boot_id == boot_id), None)
    if place is None:
        return None
    known = boots[place].known_utc_ms(monotonic_ms)
    if known is not None:
        return Resolved(known, ClockQuality.RESOLVED)
    offset_ms = _estimated_offset_ms(boots, place)
    return None if offset_ms is None else Resolved(max(0, monotonic_ms + offset_ms), ClockQuality.ESTIMATED)


def _estimated_offset_ms(boots: Sequence[Boot], place: int) -> int | None:
    boot = boots[place]
    next_start_ms = _start_utc_ms(boots, place + 1)
    if next_start_ms is None or boot.last_monotonic_ms is None:
        return None
    latest_ms = next_start_ms - boot.last_monotonic_ms
    earliest_ms = _earliest_start_utc_ms(boots, place)
    if earliest_ms is None:
        return latest_ms
    believed = earliest_ms <= boot.first_offset_ms <= latest_ms
    return boot.first_offset_ms if believed else max(latest_ms, earliest_ms)


def _start_utc_ms(boots: Sequence[Boot], place: int) -> int | None:
    """UTC at the monotonic zero of that boot."""
    if place >= len(boots):
        return None
    known = boots[place].known_utc_ms(0)
    return known if known is not None else _estimated_offset_ms(boots, place)


def _earliest_start_utc_ms(boots: Sequence[Boot], place: int) -> int | None:
    """UTC before which that boot cannot have begun: the one before it had to end."""
    if place == 0:
        return None
    before = boots[place - 1]
    lasted_ms = before.last_monotonic_ms or 0
    known = before.known_utc_ms(lasted_ms)
    if known is not None:
        return known
    started_ms = _earliest_start_utc_ms(boots, place - 1)
    return None if started_ms is None else started_ms + lasted_ms
