"""A conversation written down as a script: say something, wait for its answer, say it again, go on.

A script is a generator. It yields an `Ask` and is sent the frame that answered, or None when none came in time; every
other step that it yields is carried out as it stands. When it ends, nothing more is said on this connection.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.conversation import ClockMeasured, Finish, Moment, Read, Step, Trouble, Write
from bedside_profiles.profile import Decoded
from bedside_profiles.streams import FrameStream


@dataclass(frozen=True, slots=True)
class Ask:
    """Say `payload`, if there is any, and wait until a frame comes that `is_answer` takes; None waits out the time.

    Without one in `within_seconds` (None: for ever), `again` is said, or else the same once more: `tries` times in all.
    """

    payload: bytes
    is_answer: Callable[[bytes], bool] | None
    within_seconds: float | None = 2.0
    tries: int = 3
    again: bytes | None = None


REST_SECONDS = 900.0
"""Between two readings of a meter's memory; one that is plugged in anew is read at once."""
AWAY_SECONDS = 30.0
"""Between two attempts at a meter that does not answer: most are switched on or plugged in only to be read."""

NO_ANSWER = Trouble("it does not answer: is it switched on, and connected to its cable?")

Said = Ask | Write | Trouble | Finish | ClockMeasured
Script = Generator[Said, bytes | None, None]
Frames = Callable[[bytes], Sequence[bytes]]
"""Takes the next bytes of the stream and answers with the whole frames that they complete."""
Now = Callable[[], Moment]


def clock_measured(shown: datetime | None, now: Moment) -> Sequence[ClockMeasured]:
    """To be said before the stamps of this clock are heard: they are dated by it. Nothing without the time."""
    if now.local is None:
        return ()
    ahead = None if shown is None else (shown - now.local).total_seconds()
    return (ClockMeasured(ahead, is_set=False),)


def pause(seconds: float) -> Ask:
    """Say nothing and hear nothing for so long."""
    return Ask(b"", None, seconds, tries=1)


class Scripted:
    """A `conversation.Conversation` that goes by a script. `frames` is this connection's alone."""

    def __init__(self, frames: Frames, write: Callable[[Now], Script]) -> None:
        self._frames = frames
        self._moment: Moment | None = None
        self._script = write(self._now)
        self._asked: Ask | None = None
        self._tries = 0
        self._wakes_at: float | None = None

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `conversation.Conversation`."""
        return self._wakes_at

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `conversation.Conversation`."""
        self._moment = now
        return self._go_on(None)

    def hear(self, _characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `conversation.Conversation`."""
        self._moment = now
        if self._asked is None or self._asked.is_answer is None:
            return ()
        steps: list[Step] = []
        for frame in self._frames(payload):
            if self._asked is not None and self._asked.is_answer is not None and self._asked.is_answer(frame):
                steps += self._go_on(frame)
        return steps

    def refused(self, _step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `conversation.Conversation`: a line refuses nothing."""
        self._moment = now
        return ()

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `conversation.Conversation`."""
        self._moment = now
        asked = self._asked
        if asked is None or self._wakes_at is None or now.seconds < self._wakes_at:
            return ()
        if self._tries >= asked.tries:
            return self._go_on(None)
        return self._say(asked, asked.payload if asked.again is None else asked.again)

    def _now(self) -> Moment:
        assert self._moment is not None  # noqa: S101 - a script runs only once `begin` was told the time
        return self._moment

    def _go_on(self, answer: bytes | None) -> list[Step]:
        steps: list[Step] = []
        while True:
            try:
                wanted = self._script.send(answer)
            except StopIteration:
                self._asked, self._wakes_at = None, None
                return steps
            if isinstance(wanted, Ask):
                self._asked, self._tries = wanted, 0
                return [*steps, *self._say(wanted, wanted.payload)]
            steps.append(wanted)
            answer = None

    def _say(self, asked: Ask, payload: bytes) -> list[Step]:
        self._tries += 1
        seconds = asked.within_seconds
        self._wakes_at = None if seconds is None else self._now().seconds + seconds
        return [Write(payload)] if payload else []


def sound_frames(
    profile: str, size_of: Callable[[bytes], int | None], problem_of: Callable[[bytes], str | None]
) -> Frames:
    """Finds frames as `streams.FrameStream` does, which explains the arguments; what is broken is passed over."""
    found: list[bytes] = []

    def keep(frame: bytes) -> Sequence[Decoded]:
        found.append(frame)
        return ()

    stream = FrameStream(profile, size_of=size_of, problem_of=problem_of, take=keep)

    def frames(data: bytes) -> Sequence[bytes]:
        found.clear()
        stream.feed(data)
        return tuple(found)

    return frames
