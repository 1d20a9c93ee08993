"""One way to reach the patient, and what it is asked to give."""

from dataclasses import dataclass
from typing import Protocol

from bedside_profiles.errors import BedsideError
from bedside_profiles.rules.priority import Priority


class SignalError(BedsideError):
    """A signal that was asked for did not come about. `reason` is one sentence for a technician."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is given until it is stopped. `sentences` are spoken where there is a voice; they hold no value."""

    priority: Priority
    repeats: bool = True
    sentences: tuple[str, ...] = ()
    is_got_it: bool = False
    """A sound of its own, which is no alarm: what the patient measured is kept."""


class Signal(Protocol):
    """Sound, light or speech. One pattern at a time: a start ends what went before."""

    @property
    def trouble(self) -> str | None:
        """Why what is being given did not come about; None while it does, and while nothing is."""
        ...

    async def start(self, pattern: Pattern) -> None:
        """Give the pattern until `stop`. Returns at once; what goes wrong later is its `trouble`."""
        ...

    async def stop(self) -> None:
        """Be quiet, or dark."""
        ...

    async def works(self) -> str | None:
        """None when it can be heard or seen as far as the hub can tell; otherwise why not, for a technician.

        Not to be asked while something is given.
        """
        ...
