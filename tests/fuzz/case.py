"""One case: sets are said, the stream is damaged, the framer reads it; what it told must have been said, in order."""

from collections.abc import Sequence

from tests.fuzz.choices import Choices
from tests.fuzz.damage import Damaged, damaged, damaged_between, damaged_once_a_frame
from tests.fuzz.specimens import Guard, Members, Specimen

from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded
from bedside_profiles.readings import Measurement


class WrongValueError(AssertionError):
    """The framer told something that was never said, or in an order in which it was not."""


def run(specimen: Specimen, choices: Choices) -> int:
    """How many sets came out. Raises `WrongValueError`; whatever else the framer raises comes out as it is."""
    spoken = specimen.spoken(choices)
    frames = [specimen.encode(members) for members in spoken]
    if specimen.guard is Guard.TRUSTED:
        arrived = damaged_between(frames, choices)
    elif specimen.guard is Guard.SUMMED:
        arrived = damaged_once_a_frame(frames, choices, specimen.longest_loss)
    else:
        arrived = damaged(b"".join(frames), choices, apart=specimen.apart(max(len(frame) for frame in frames)))
    told = heard(specimen, arrived)
    judge(specimen, spoken, told, repeats=arrived.repeats)
    return len(told)


def heard(specimen: Specimen, arrived: Damaged) -> list[Members]:
    """The sets that came out, without the end that is told only to who explains a capture."""
    framer = specimen.profile.framer()
    found = []
    for piece in arrived.pieces:
        for outcome in framer.feed(piece):
            if not isinstance(outcome, Decoded | DecodeError):
                raise WrongValueError(f"an outcome of another type: {outcome!r}")
            if isinstance(outcome, Decoded) and outcome.measurements:
                found.append(outcome.measurements)
    rest = framer.rest()
    if rest is not None and not isinstance(rest, Decoded | DecodeError):
        raise WrongValueError(f"an outcome of another type: {rest!r}")
    return found


def judge(specimen: Specimen, spoken: Sequence[Members], told: Sequence[Members], *, repeats: bool) -> None:
    """Raises `WrongValueError` for the first set that does not fit behind the one before."""
    at = 0
    for members in told:
        place = _place(specimen, spoken, members, 0 if repeats else at)
        if place is None:
            raise WrongValueError(f"told {members}; said {list(spoken)}")
        at = place


def _place(specimen: Specimen, spoken: Sequence[Members], told: Members, begin: int) -> int | None:
    """The first window of `spoken`, from `begin` on, from which what was told may stem."""
    window = specimen.window
    windows = range(begin, len(spoken))
    return next((at for at in windows if all(_stems(one, spoken[at : at + window]) for one in told)), None)


def _stems(one: Measurement, window: Sequence[Members]) -> bool:
    """A time may be missing, when the bytes that told it were damaged; another one is wrong."""
    said = [member for members in window for member in members if member.metric is one.metric]
    if one.value is None or not min(_numbers(said)) <= one.value <= max(_numbers(said)):
        return False
    return one.device_time is None or one.device_time in {member.device_time for member in said}


def _numbers(members: Sequence[Measurement]) -> list[float]:
    return [member.value for member in members if member.value is not None]
