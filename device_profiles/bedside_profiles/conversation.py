"""What a hub says to a device over one connection: pure, with the time passed in, so that each can be read and tested
as a table. Radio and serial sessions carry it out; a device that only speaks needs none.

A conversation never says what inflates a cuff, deletes records or resets a device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """Now. `seconds` is monotonic; `local` is the wall time where the patient lives, without a zone, or None while the
    hub does not know it: a clock is never set by a hub that does not know the time."""

    seconds: float
    local: datetime | None


@dataclass(frozen=True, slots=True)
class Write:
    """Hand these bytes to the device; `characteristic` is empty on a serial line. `acknowledged` is Bluetooth's write
    with response."""

    payload: bytes
    characteristic: str = ""
    acknowledged: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """Read a characteristic's value; it comes back through `hear`."""

    characteristic: str


@dataclass(frozen=True, slots=True)
class Finish:
    """All is said and heard. The link is ended, and the device left alone for `pause_seconds`."""

    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """The device does not do what it should; `reason` is one sentence for a technician. The link stays."""

    reason: str


Step = Write | Read | Finish | Trouble


class Conversation(Protocol):
    """One connection's. Steps are carried out in order; what is heard in between is handed in as it comes."""

    @property
    def wakes_at_seconds(self) -> float | None:
        """When `wake` is wanted, on `Moment.seconds`; None for not at all."""
        ...

    def begin(self, now: Moment) -> Sequence[Step]:
        """All subscriptions stand, or the line is open."""
        ...

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """What the device said; it has been decoded already, and is looked at here only for what to say next."""
        ...

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """The device refused a step, or has not the characteristic: an answer too."""
        ...

    def wake(self, now: Moment) -> Sequence[Step]:
        """The time that was waited for has come."""
        ...


Converse = Callable[[], Conversation]
"""Begins a conversation on a new connection."""
