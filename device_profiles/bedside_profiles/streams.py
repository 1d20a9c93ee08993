"""What framers share: finding whole frames and lines in a stream, and believing one that carries no checksum.

A stream begins, splits and breaks anywhere. What was under way when the line was opened is passed over in silence;
later one break gives one error, and a line on which nothing is ever found says so now and then.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import median_low
from bedside_profiles.profile import Decoded, NoReading, Withheld
from bedside_profiles.readings import Measurement, Metric

Outcomes = tuple[Decoded | DecodeError, ...]

NO_FRAME = 0
"""What `size_of` answers when no frame begins with the first byte."""

_WIDEST_SPREAD = {Metric.SPO2: 5, Metric.PULSE_RATE: 20}
"""How far the averages over some beats may lie apart in frames in a row. After a wilder jump the new level counts."""


class FrameStream:
    """Finds frames whose beginning and size can be told from their first bytes.

    `size_of(data)` is the size of the frame that begins with the first byte of `data`, None when more bytes are needed
    to tell, NO_FRAME when none begins there. `problem_of(frame)` says what is wrong around its content (checksum, end);
    such a frame is taken for garbage, in which another may begin. `take(frame)` says what a sound frame means; a
    `DecodeError` of its own costs this frame alone. `broken()` is called when something was lost between two frames.
    An error about a line without any frame comes each `quiet_bytes`.
    """

    def __init__(
        self,
        profile: str,
        *,
        size_of: Callable[[bytes], int | None],
        problem_of: Callable[[bytes], str | None],
        take: Callable[[bytes], Iterable[Decoded]],
        broken: Callable[[], None] = lambda: None,
        quiet_bytes: int = 2000,
    ) -> None:
        self._profile = profile
        self._size_of = size_of
        self._problem_of = problem_of
        self._take = take
        self._broken = broken
        self._quiet_bytes = quiet_bytes
        self._bytes = b""
        self._in_step = False
        self._passed_over = 0
        self._problem: DecodeError | None = None

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        data = self._bytes + data
        at = 0
        outcomes: list[Decoded | DecodeError] = []
        while at < len(data):
            rest = data[at:] if at else data
            size = self._size_of(rest)
            if size is None or size > len(rest):
                break
            problem = "no frame begins like this" if size == NO_FRAME else self._problem_of(rest[:size])
            if problem is None:
                at += size
                self._sound(rest[:size], outcomes)
            else:
                at += 1
                self._garbage(DecodeError(self._profile, problem, rest[: max(size, 1)]), outcomes)
        self._bytes = data[at:]
        return tuple(outcomes)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`: a frame that was begun, or what was wrong when none was ever found."""
        if self._bytes:
            return DecodeError(self._profile, f"a frame cut off after {len(self._bytes)} bytes", self._bytes)
        return self._problem

    def _sound(self, frame: bytes, outcomes: list[Decoded | DecodeError]) -> None:
        self._in_step = True
        self._passed_over = 0
        self._problem = None
        try:
            outcomes.extend(self._take(frame))
        except DecodeError as error:
            outcomes.append(error)

    def _garbage(self, problem: DecodeError, outcomes: list[Decoded | DecodeError]) -> None:
        self._passed_over += 1
        self._problem = self._problem or problem
        self._broken()
        if self._in_step:
            self._in_step = False
            outcomes.append(problem)
        elif self._passed_over >= self._quiet_bytes:
            self._passed_over = 0
            reason = f"no frame in {self._quiet_bytes} bytes: another format or another speed?"
            outcomes.append(DecodeError(self._profile, reason, problem.frame))


class LineStream:
    """Finds lines of ASCII, ended by CR, LF or both; NUL bytes between the characters are dropped.

    `take(line)` says what a line means: None for a heading. A last line without an end is read by `rest` alone.
    """

    def __init__(
        self,
        profile: str,
        *,
        take: Callable[[str], Decoded | None],
        broken: Callable[[], None] = lambda: None,
        longest: int = 256,
    ) -> None:
        self._profile = profile
        self._take = take
        self._broken = broken
        self._longest = longest
        self._bytes = b""
        self._is_first = True
        self._overlong = False
        self._problem: DecodeError | None = None

    def feed(self, data: bytes) -> Outcomes:
        """See `profile.Framer`."""
        outcomes: list[Decoded | DecodeError] = []
        *lines, self._bytes = (self._bytes + data.replace(b"\x00", b"")).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._line(line, outcomes)
        if len(self._bytes) > self._longest:
            if not self._overlong:
                self._wrong(self._error(f"a line of more than {self._longest} characters", self._bytes), outcomes)
            self._bytes, self._overlong = b"", True
        return tuple(outcomes)

    def rest(self) -> Decoded | DecodeError | None:
        """See `profile.Framer`."""
        if not self._bytes or self._overlong:
            return self._problem
        try:
            return self._read(self._bytes) or self._error("a heading, no measurement", self._bytes)
        except DecodeError as error:
            return error

    def _line(self, line: bytes, outcomes: list[Decoded | DecodeError]) -> None:
        if self._overlong:
            self._overlong = False
            return
        if not line.strip():
            return
        try:
            decoded = self._read(line)
        except DecodeError as error:
            self._wrong(error, outcomes)
            return
        self._is_first = False
        if decoded is None:
            self._problem = self._problem or self._error("a heading, no measurement", line)
        else:
            self._problem = None
            outcomes.append(decoded)

    def _wrong(self, error: DecodeError, outcomes: list[Decoded | DecodeError]) -> None:
        """The first line is most often the rest of one that was under way."""
        self._problem = self._problem or error
        self._broken()
        if not self._is_first:
            outcomes.append(error)
        self._is_first = False

    def _read(self, line: bytes) -> Decoded | None:
        if len(line) > self._longest:
            raise self._error(f"a line of more than {self._longest} characters", line)
        try:
            text = line.decode("ascii")
        except UnicodeDecodeError as cause:
            raise self._error("a line with bytes that are no ASCII", line) from cause
        return self._take(text.rstrip())

    def _error(self, reason: str, line: bytes) -> DecodeError:
        return DecodeError(self._profile, reason, line)


class MedianOfNeighbours:
    """Believes frames that carry no checksum: the middle one of some in a row that agree, with the medians of all.

    `in_a_row` is odd: 3 where a damaged frame seldom looks whole, more where frames are so short that garbage looks
    like some. One damaged frame therefore changes nothing by more than the others lie apart, or it withholds the value;
    a time that does not lie between its neighbours' is dropped. A frame without a measurement (finger off, searching)
    passes at once, and as many good ones are needed anew.
    """

    def __init__(self, in_a_row: int = 3) -> None:
        self._last: deque[Decoded] = deque(maxlen=in_a_row)
        self._in_a_row = in_a_row

    def take(self, decoded: Decoded) -> Decoded | None:
        """What is believed with this frame; None while there are not enough in a row."""
        if not decoded.measurements:
            self._last.clear()
            return decoded
        self._last.append(decoded)
        return self._middle() if len(self._last) == self._in_a_row else None

    def broken(self) -> None:
        """Something was lost: as many are needed anew."""
        self._last.clear()

    def rest(self) -> Decoded | None:
        """The last frame, when none was believed yet and nothing more comes."""
        return self._last[-1] if 0 < len(self._last) < self._in_a_row else None

    def _middle(self) -> Decoded:
        place = self._in_a_row // 2
        decoded = self._last[place]
        times = [frame.measurements[0].device_time for frame in self._last]
        time = _time_between(*times[place - 1 : place + 2])
        believed: list[Measurement] = []
        for one in decoded.measurements:
            values = [value_of(frame.measurements, one.metric) for frame in self._last]
            numbers = [value for value in values if value is not None]
            if len(numbers) < len(values):
                continue
            if max(numbers) - min(numbers) > _WIDEST_SPREAD.get(one.metric, math.inf):
                return _doubted(decoded)
            believed.append(replace(one, value=median_low(numbers), device_time=time))
        return replace(decoded, measurements=tuple(believed))


def _doubted(decoded: Decoded) -> Decoded:
    """Where one value cannot be, something is damaged, and who knows what."""
    doubted = tuple([Withheld(one.metric, NoReading.ARTIFACT) for one in decoded.measurements])
    return replace(decoded, measurements=(), withheld=(*doubted, *decoded.withheld))


def _time_between(before: str | None, time: str | None, after: str | None) -> str | None:
    """The time, when it lies between the two others, whichever way they run; ISO 8601 sorts as time does."""
    if before is None or time is None or after is None:
        return None
    return time if before <= time <= after or before >= time >= after else None


def value_of(measurements: Sequence[Measurement], metric: Metric) -> float | None:
    """The value of that metric among the measurements; None when it is not there or has no number."""
    return next((one.value for one in measurements if one.metric is metric), None)
