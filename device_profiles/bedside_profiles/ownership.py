"""Whose reading is it, on a device that several people use: hub and cloud decide by the same rule. Pure.

A device that several people use has a slot for each, and names the slot with every reading, if its user chose one. Who
chose none, or another's, cannot be told from a guest: such a reading is nobody's until a person says whose.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

LOWEST_USERS = frozenset({0, 1})
"""A device that has one user names the first slot, and makers count from 0 or from 1."""


STAMP_TOLERANCE = timedelta(days=1)
"""A device's stamp names no zone, and its clock may be wrong."""


class Doubt(Enum):
    """Why a reading of a device that measures somebody is nobody's."""

    USER_UNKNOWN = "user_unknown"
    USER_MISSING = "user_missing"


@dataclass(frozen=True, slots=True)
class Claim:
    """The device measures `owner` from `from_ms` until `until_ms` (UTC; open when None), in the slot `user`.

    `user` is None when nobody said which slot is theirs.
    """

    owner: str
    from_ms: int
    until_ms: int | None = None
    user: int | None = None

    def holds_at(self, at_ms: int) -> bool:
        """Whether the moment lies inside."""
        return self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the same claims hold, from `from_ms` up to, not including, `until_ms` (open when None)."""

    from_ms: int
    until_ms: int | None
    claims: tuple[Claim, ...]


def owner_of(claims: Sequence[Claim], user: int | None) -> str | Doubt | None:
    """Whose a reading is that names the slot `user`, or none, when it was taken while all of `claims` held.

    None when there is no claim. A reading without a slot belongs to the only person whom the device measures. One with
    a slot belongs to who has that slot; for somebody who named none, only the lowest slot counts.
    """
    if not claims:
        return None
    if user is None:
        return _only(claims) or Doubt.USER_MISSING
    named = [claim for claim in claims if claim.user == user]
    if named:
        return _only(named) or Doubt.USER_UNKNOWN
    if user in LOWEST_USERS and not any(claim.user in LOWEST_USERS for claim in claims):
        return _only(claim for claim in claims if claim.user is None) or Doubt.USER_UNKNOWN
    return Doubt.USER_UNKNOWN


def can_be_confused(one: int | None, other: int | None) -> bool:
    """Whether a reading could belong to two people who have these slots of one device at one time."""
    if one is None or other is None:
        return one == other or one in LOWEST_USERS or other in LOWEST_USERS
    return one == other


def users_told_apart(claims: Iterable[Claim]) -> tuple[int | None, ...]:
    """Slots for which `owner_of` may answer otherwise than for any other slot."""
    named = {claim.user for claim in claims if claim.user is not None}
    return (None, *sorted(named | LOWEST_USERS))


def spans(claims: Sequence[Claim]) -> Iterator[Span]:
    """The times, one after the other, in which claims on one device hold; those in which none does are left out."""
    bounds = sorted({at for claim in claims for at in (claim.from_ms, claim.until_ms) if at is not None})
    for place, from_ms in enumerate(bounds):
        held = tuple([claim for claim in claims if claim.holds_at(from_ms)])
        if held:
            yield Span(from_ms, bounds[place + 1] if place + 1 < len(bounds) else None, held)


def latest_ms(device_time: str) -> int | None:
    """The latest moment (UTC) at which a device stamped that, if its clock is right within a day; None: no stamp."""
    try:
        stamp = datetime.fromisoformat(device_time).replace(tzinfo=UTC)
        return round((stamp + STAMP_TOLERANCE).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _only(claims: Iterable[Claim]) -> str | None:
    owners = {claim.owner for claim in claims}
    return owners.pop() if len(owners) == 1 else None
