"""What the store keeps, as values: lanes, what one transaction writes, what is found at opening."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bedside_agent.buffer.ranges import Ranges
from bedside_profiles.readings import Reading
from bedside_profiles.wire.alarm import Alarm
from bedside_profiles.wire.events import Event, Gap
from bedside_profiles.wire.topics import UpLane
from bedside_profiles.wire.waveform import Waveform

Item = Reading | Alarm | Event | Waveform | Gap
"""What a lane holds."""

LANES = (UpLane.ALARMS, UpLane.READINGS, UpLane.EVENTS, UpLane.WAVEFORMS)
"""The lanes that the store keeps, in the order in which they are sent."""

STORE_STEP = 2**40
"""Sequences a store can have: a row's key is its store's number times this, plus its first sequence."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """An item whose bytes cannot be read any more: all that is left of it is its sequence."""

    seq: int


@dataclass(frozen=True, slots=True)
class Mark:
    """When the hub had run for `hub_ms`, `last_seq` was the newest item."""

    last_seq: int
    hub_ms: int


@dataclass(frozen=True, slots=True)
class Kept:
    """One lane of one store as found at opening; `first` is above `last` when it holds nothing."""

    number: int
    store_id: str
    lane: UpLane
    opened_hub_ms: int
    first: int
    last: int
    settled: Ranges
    marks: tuple[Mark, ...]


@dataclass(slots=True)
class Group:
    """What one transaction writes. All items carry their sequences; a state of None is removed.

    `readings` and `waveforms` hold gaps where the disk took nothing for so long that memory was short.
    `forget_settled_at` drops what receipts said before; it is the hub's running time then.
    """

    readings: list[Reading | Gap] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    waveforms: list[Waveform | Gap] = field(default_factory=list)
    state: dict[str, bytes | None] = field(default_factory=dict)
    settled: dict[tuple[int, UpLane], Ranges] = field(default_factory=dict)
    marks: dict[UpLane, Mark] = field(default_factory=dict)
    forget_settled_at: int | None = None

    def by_lane(self) -> dict[UpLane, Sequence[Item]]:
        """The items, each lane's in their order."""
        return {
            UpLane.READINGS: self.readings,
            UpLane.ALARMS: self.alarms,
            UpLane.EVENTS: self.events,
            UpLane.WAVEFORMS: self.waveforms,
        }

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.readings
            or self.alarms
            or self.events
            or self.waveforms
            or self.state
            or self.settled
            or self.marks
            or self.forget_settled_at is not None
        )
