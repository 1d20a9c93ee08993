"""What all conversations share that read a device's own memory step by step: patience, and an end.

A device that does not go on within its time is left alone for a while; all of it is asked for again then, and what came
before is dropped by the hub. The steps themselves are each device's.
"""

from collections.abc import Sequence

from bedside_profiles.conversation import Finish, LeaveAlone, Moment, Read, Step, Trouble, Write

ANSWER_SECONDS = 15.0
"""For one answer: the slowest of these devices looks through its whole memory first."""

DONE_PAUSE_SECONDS, TROUBLED_PAUSE_SECONDS = 60.0, 300.0
"""For how long the device is left alone, after all went well and after it did not: each link costs its battery."""


class MemoryConversation:
    """See `Conversation`. A device's own gives `begin` and `hear`; it calls `_wait` with each question."""

    def __init__(self) -> None:
        self._wakes_at_seconds: float | None = None

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        return self._wakes_at_seconds

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return self._given_up("the device refuses to be asked for what it keeps")

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return self._given_up("the device does not go on telling what it keeps")

    def _wait(self, now: Moment, seconds: float | None = None) -> None:
        self._wakes_at_seconds = now.seconds + (ANSWER_SECONDS if seconds is None else seconds)

    def _done(self, *last: Write) -> Sequence[Step]:
        """`last` are words after which some devices end the link themselves."""
        self._wakes_at_seconds = None
        return LeaveAlone(DONE_PAUSE_SECONDS), *last, Finish(DONE_PAUSE_SECONDS)

    def _given_up(self, reason: str) -> Sequence[Step]:
        self._wakes_at_seconds = None
        return Trouble(reason), Finish(TROUBLED_PAUSE_SECONDS)
