"""Periods in which a device measures somebody. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.ownership import can_be_confused


@dataclass(frozen=True, slots=True)
class Period:
    """From `from_at` up to, not including, `until_at` (open when None), in the slot `user` (None: nobody named one)."""

    patient_id: str
    from_at: datetime
    until_at: datetime | None
    user: int | None = None


def conflict(periods: Iterable[Period], wanted: Period) -> Period | None:
    """The first of these with which a period that stays open cannot stand beside; None when it can.

    Two people may share a device in slots that cannot be confused; one person has one slot at a time.
    """
    for period in periods:
        if period.until_at is not None and period.until_at <= wanted.from_at:
            continue
        if period.patient_id == wanted.patient_id or can_be_confused(period.user, wanted.user):
            return period
    return None
