"""What the alarms must remember over a restart, as bytes, and how its times move to another boot. Pure.

A monotonic clock starts again at every boot. When both wall clocks were synced, the time in between is known and the
times move by it. When it is not known, the hub takes it as long enough: a spot check that waited for its repeat is
due, a pending signal raises at its next reading out of range. That is an alarm too many at worst, never one too few.
A calm that began before the restart is not counted: nobody saw whether it lasted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bedside_agent.alarms.evaluator import Track
from bedside_agent.alarms.silence import Heard
from bedside_agent.clock import Instant
from bedside_profiles.readings import ClockQuality
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Phase, RuleState, ThresholdRule
from bedside_profiles.wire.alarm import AlarmInput
from bedside_profiles.wire.fields import from_map, to_map


@dataclass(frozen=True, slots=True)
class SavedTrack:
    """A `Track` under its rule's id."""

    rule_id: str
    state: RuleState
    episode: str | None = None
    device_id: str | None = None
    onset: AlarmInput | None = None
    rule: ThresholdRule | None = None


@dataclass(frozen=True, slots=True)
class SavedDevice:
    """A continuous device; when it was last heard is not worth a write each time."""

    device_id: str
    heard_utc_ms: int
    episode: str | None = None
    priority: Priority = Priority.MEDIUM


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything, and the moment at which it was so."""

    utc_ms: int
    monotonic_ms: int
    boot_id: str
    quality: ClockQuality
    tracks: tuple[SavedTrack, ...] = ()
    devices: tuple[SavedDevice, ...] = ()


def save(tracks: Mapping[str, Track], heard: Mapping[str, Heard], now: Instant) -> bytes:
    """The memory as bytes; tracks at rest are left out."""
    memory = Memory(
        now.utc_ms,
        now.monotonic_ms,
        now.boot_id,
        now.quality,
        tuple(
            SavedTrack(rule_id, track.state, track.episode, track.device_id, track.onset, track.rule)
            for rule_id, track in tracks.items()
            if track.state.phase is not Phase.NORMAL
        ),
        tuple(SavedDevice(device, last.at_utc_ms, last.episode, last.priority) for device, last in heard.items()),
    )
    return json.dumps(to_map(memory), separators=(",", ":")).encode()


def restore(saved: bytes, now: Instant) -> tuple[dict[str, Track], dict[str, Heard]]:
    """Tracks and devices in the present boot's time; MalformedError or ValueError if the bytes are not a memory."""
    memory = from_map(Memory, json.loads(saved))
    tracks = {
        one.rule_id: Track(
            _moved(one.state, memory, now), one.episode, one.device_id, _onset(one, memory, now), one.rule
        )
        for one in memory.tracks
    }
    # The silence of a device counts from this start: its radio needs time to come back too.
    heard = {
        one.device_id: Heard(now.monotonic_ms, one.heard_utc_ms, one.episode, one.priority) for one in memory.devices
    }
    return tracks, heard


def _onset(track: SavedTrack, memory: Memory, now: Instant) -> AlarmInput | None:
    if track.onset is None or memory.boot_id == now.boot_id:
        return track.onset
    return replace(track.onset, monotonic_ms=None)


def _moved(state: RuleState, memory: Memory, now: Instant) -> RuleState:
    if memory.boot_id == now.boot_id:
        return state
    state = replace(state, calm_since_ms=None, last_ms=None)
    known = memory.quality is ClockQuality.SYNCED and now.quality is ClockQuality.SYNCED
    if known and now.utc_ms >= memory.utc_ms:
        offset = now.monotonic_ms - memory.monotonic_ms - (now.utc_ms - memory.utc_ms)
        return replace(state, since_ms=_plus(state.since_ms, offset), deadline_ms=_plus(state.deadline_ms, offset))
    return replace(
        state,
        since_ms=None if state.since_ms is None else now.monotonic_ms - LONG_MS,
        deadline_ms=None if state.deadline_ms is None else now.monotonic_ms,
    )


LONG_MS = 86_400_000
"""Longer than any onset delay a rule can have."""


def _plus(moment: int | None, offset: int) -> int | None:
    return None if moment is None else moment + offset
