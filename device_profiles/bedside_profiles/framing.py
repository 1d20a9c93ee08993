"""Finds frames in what a device notifies: several may stand in one value, one may be spread over several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded

HEAD_BYTES = 16
"""As much of a frame as is needed to tell how long it is."""

_SILENT_BYTES = 2048
"""So much without any frame is told again: the device speaks something else."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How frames of one device look. `start` are the first bytes of every frame.

    `size(head)` gives the length in bytes of the frame that begins with `head` (up to `HEAD_BYTES`), or None while they
    are too few to tell; it raises `DecodeError` when no frame begins so. `problem(frame)` names what is wrong with a
    frame of that length (a checksum), or gives None. `decode(frame)` says what a sound frame means.
    """

    profile: str
    start: bytes
    size: Callable[[bytes], int | None]
    problem: Callable[[bytes], str | None]
    decode: Callable[[bytes], Sequence[Decoded | DecodeError]]


class FrameListener:
    """A `profile.Listener` for the characteristics named. Memory is bounded by the longest frame that `size` allows.

    Bytes that are no frame are passed over one by one until a sound frame comes; that is one error, however many they
    are, so that noise does not drown the log.
    """

    def __init__(self, framing: Framing, *characteristics: str) -> None:
        self._framing = framing
        self._characteristics = characteristics
        self._bytes = bytearray()
        self._in_doubt = False
        self._passed_over = 0
        self._untold = 0

    @property
    def idle(self) -> bool:
        """Whether no frame is begun."""
        return not self._bytes

    def feed(self, characteristic: str, payload: bytes) -> tuple[Decoded | DecodeError, ...]:
        """See `profile.Listener`."""
        if characteristic not in self._characteristics:
            reason = f"no measurement characteristic: {characteristic}"
            return (DecodeError(self._framing.profile, reason, payload),)
        self._bytes += payload
        outcomes: list[Decoded | DecodeError] = []
        while self._next(outcomes):
            pass
        return tuple(outcomes)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Listener`."""
        profile = self._framing.profile
        if self._bytes:
            return DecodeError(profile, f"a frame cut off after {len(self._bytes)} bytes", bytes(self._bytes))
        if self._passed_over:
            return DecodeError(profile, f"no frame in {self._passed_over} bytes")
        return None

    def _next(self, outcomes: list[Decoded | DecodeError]) -> bool:
        """Whether one more frame, or one more byte that is none, was taken."""
        self._skip_to_start(outcomes)
        head = bytes(self._bytes[:HEAD_BYTES])
        if len(head) < len(self._framing.start):
            return False
        try:
            size = self._framing.size(head)
        except DecodeError as error:
            self._doubt(1, error, outcomes)
            return True
        if size is None or len(self._bytes) < size:
            return False
        frame = bytes(self._bytes[:size])
        problem = self._framing.problem(frame)
        if problem is not None:
            self._doubt(1, DecodeError(self._framing.profile, problem, frame), outcomes)
            return True
        del self._bytes[:size]
        self._in_doubt = False
        self._passed_over = 0
        try:
            outcomes.extend(self._framing.decode(frame))
        except DecodeError as error:
            outcomes.append(error)
        return True

    def _skip_to_start(self, outcomes: list[Decoded | DecodeError]) -> None:
        start = self._framing.start
        at = self._bytes.find(start)
        if at < 0:
            begun = next((length for length in range(len(start) - 1, 0, -1) if self._bytes.endswith(start[:length])), 0)
            at = len(self._bytes) - begun
        if at:
            foreign = bytes(self._bytes[:at])
            self._doubt(at, DecodeError(self._framing.profile, "bytes that are no frame", foreign), outcomes)

    def _doubt(self, count: int, error: DecodeError, outcomes: list[Decoded | DecodeError]) -> None:
        del self._bytes[:count]
        self._passed_over += count
        self._untold += count
        if not self._in_doubt or self._untold >= _SILENT_BYTES:
            self._in_doubt = True
            self._untold = 0
            outcomes.append(error)
