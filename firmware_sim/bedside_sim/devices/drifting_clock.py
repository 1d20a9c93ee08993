"""A device's own clock, which is never quite right, and how a hub reads and sets it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from bedside_profiles.bluetooth.clock import CURRENT_TIME, DATE_TIME, AdjustReason, encode_current_time
from bedside_profiles.numbers import decode_date_time, encode_date_time
from bedside_sim.devices.peripheral import Heed, RefusedError

Show = Callable[[], bytes]


class DriftingClock:
    """`ahead_seconds` of this computer's local time, or behind. `settings` are the moments that a hub set it to."""

    def __init__(self, ahead_seconds: float = 0.0, *, can_be_set: bool = True, stays_wrong: bool = False) -> None:
        """`stays_wrong`: it takes a new time and keeps its own, as some cuffs do."""
        self.ahead_seconds = ahead_seconds
        self.can_be_set = can_be_set
        self.stays_wrong = stays_wrong
        self.settings: list[datetime] = []

    def time(self) -> datetime:
        """What it shows."""
        return datetime.now() + timedelta(seconds=self.ahead_seconds)  # noqa: DTZ005 - a device knows no zone

    def drift(self, seconds: float) -> None:
        """Go ahead by so much more."""
        self.ahead_seconds += seconds

    def current_time(self) -> tuple[Mapping[str, Show], Mapping[str, Heed]]:
        """As the Current Time characteristic (2A2B)."""

        def show() -> bytes:
            return encode_current_time(self.time(), AdjustReason(0))

        return {CURRENT_TIME: show}, {CURRENT_TIME: self._set}

    def date_time(self) -> tuple[Mapping[str, Show], Mapping[str, Heed]]:
        """As the Date Time characteristic (2A08)."""
        return {DATE_TIME: lambda: encode_date_time(self.time())}, {DATE_TIME: self._set}

    def _set(self, payload: bytes) -> None:
        moment = decode_date_time(payload[:7])
        if not self.can_be_set or moment is None:
            raise RefusedError
        self.settings.append(moment)
        if not self.stays_wrong:
            self.ahead_seconds = (moment - datetime.now()).total_seconds()  # noqa: DTZ005 - as above
