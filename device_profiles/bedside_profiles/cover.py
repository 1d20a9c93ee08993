"""When somebody looks at a patient's readings: hours of the week, in the patient's local time. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from bedside_profiles.bounds import Between

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 1440
WEEK_MINUTES = 7 * DAY_MINUTES
ALWAYS = "always"

_PIECE = re.compile(
    rf"(?P<first>{'|'.join(DAYS)})(-(?P<last>{'|'.join(DAYS)}))?\s+"
    r"(?P<from>([01]\d|2[0-3]):[0-5]\d)-(?P<until>([01]\d|2[0-3]):[0-5]\d|24:00)"
)


@dataclass(frozen=True, slots=True)
class CoverHours:
    """Cover on one day of the week (0 is Monday), from a minute of that day up to another one (1440: its end)."""

    day: Annotated[int, Between(0, 6)]
    from_minute: Annotated[int, Between(0, DAY_MINUTES - 1)]
    until_minute: Annotated[int, Between(1, DAY_MINUTES)]

    def __post_init__(self) -> None:
        if self.until_minute <= self.from_minute:
            raise ValueError("cover ends before it begins; hours over midnight are two entries")


@dataclass(frozen=True, slots=True)
class Watch:
    """Whether somebody looks now, and until when that stays so; None: always."""

    is_staffed: bool
    until: datetime | None


def parse_cover(text: str) -> tuple[CoverHours, ...]:
    """`mon-fri 08:00-18:00, sat 09:00-12:00`, or `always`. ValueError, as a sentence, for anything else."""
    if text.strip().lower() == ALWAYS:
        return tuple([CoverHours(day, 0, DAY_MINUTES) for day in range(7)])
    found: list[CoverHours] = []
    for piece in text.lower().split(","):
        match = _PIECE.fullmatch(piece.strip())
        if match is None:
            raise ValueError(f"{piece.strip()!r} is not like: mon-fri 08:00-18:00")
        first = DAYS.index(match["first"])
        days = (DAYS.index(match["last"] or match["first"]) - first) % 7 + 1
        hours = (_minute(match["from"]), _minute(match["until"]))
        if hours[1] <= hours[0]:
            raise ValueError(f"{piece.strip()!r} ends before it begins: write hours over midnight as two")
        found += [CoverHours((first + place) % 7, *hours) for place in range(days)]
    return tuple(sorted(set(found), key=lambda one: (one.day, one.from_minute, one.until_minute)))


def cover_text(cover: Iterable[CoverHours]) -> str:
    """What `parse_cover` reads, a day at a time; empty for none."""
    return ", ".join(
        [f"{DAYS[one.day]} {_clock(one.from_minute)}-{_clock(one.until_minute)}" for one in cover],
    )


def watch(cover: Sequence[CoverHours], local: datetime) -> Watch:
    """What holds at a moment of the patient's local wall clock."""
    minute = local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute
    is_staffed = _holds(cover, minute)
    ends = {one.day * DAY_MINUTES + at for one in cover for at in (one.from_minute, one.until_minute)}
    for ahead in sorted({(end - minute) % WEEK_MINUTES or WEEK_MINUTES for end in ends}):
        if _holds(cover, (minute + ahead) % WEEK_MINUTES) is not is_staffed:
            return Watch(is_staffed, local.replace(second=0, microsecond=0) + timedelta(minutes=ahead))
    return Watch(is_staffed, None)


def _holds(cover: Sequence[CoverHours], minute_of_week: int) -> bool:
    day, minute = divmod(minute_of_week, DAY_MINUTES)
    return any(one.day == day and one.from_minute <= minute < one.until_minute for one in cover)


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
