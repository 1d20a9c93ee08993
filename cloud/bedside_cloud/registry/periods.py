"""Periods in which a device measures somebody. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Period:
    """From `from_at` up to, not including, `until_at`; open when None."""

    patient_id: str
    from_at: datetime
    until_at: datetime | None


def overlaps(periods: Iterable[Period], from_at: datetime) -> bool:
    """Whether an open period from `from_at` would overlap one of these."""
    return any(period.until_at is None or period.until_at > from_at for period in periods)
