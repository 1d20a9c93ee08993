"""What a hub says to a device that speaks only as long as somebody asks: something first, then something regularly.

A device that does not answer falls silent, and the silence that its profile allows ends the link.
"""

from collections.abc import Callable, Sequence

from bedside_profiles.conversation import Conversation, Known, Moment, Read, Step, Trouble, Write

Saying = Callable[[Moment], Sequence[Write]]


class RepeatingConversation:
    """See `Conversation`."""

    def __init__(self, first: Saying, again: Saying, every_seconds: float) -> None:
        self._first = first
        self._again = again
        self._every_seconds = every_seconds
        self._wakes_at_seconds: float | None = None

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        return self._wakes_at_seconds

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._wakes_at_seconds = now.seconds + self._every_seconds
        return self._first(now)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`: it says the same, whatever comes."""
        return ()

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`. It is asked again: some refuse while they measure."""
        return (Trouble("the device refuses to be asked for its values"),)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`. What could not be said in time is not made up for."""
        self._wakes_at_seconds = now.seconds + self._every_seconds
        return self._again(now)


def repeating(first: Saying, again: Saying, every_seconds: float) -> Callable[[Known], Conversation]:
    """The `converse` of a profile. Each call of `first` and `again` gives what is to be written then."""
    return lambda _known: RepeatingConversation(first, again, every_seconds)
