"""What a hub says to a device's clock at each connection: it reads it, and sets it where that is safe.

Many cuffs, thermometers and scales leave the time out of their measurements until somebody set it on the present
connection, some within five seconds of it: so it is set each time, and read once more, because devices are known that
report "set" and stay wrong. The clock of a device that a dose may be decided by is only measured. A hub that does not
know the time leaves clocks alone and looks again later.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bedside_profiles.bluetooth.clock import CURRENT_TIME, DATE_TIME, AdjustReason, decode, encode_current_time
from bedside_profiles.conversation import ClockMeasured, Conversation, Known, Moment, Read, Step, Write
from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import encode_date_time

HUB_WITHOUT_TIME_SECONDS = 60.0
"""Between two looks at whether the hub has learnt the time."""

SET_WITHIN_SECONDS = 2.0
"""A clock that was set differs by no more: it shows whole seconds, and the exchange takes some."""


class ClockConversation:
    """See `Conversation`. `sets`: whether it may be set."""

    def __init__(self, *, sets: bool) -> None:
        self._sets = sets
        self._characteristic = CURRENT_TIME
        self._reads: str | None = None
        self._has_clock = False
        self._offset_seconds: float | None = None
        self._was_written = False
        self._wakes_at_seconds: float | None = None

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        return self._wakes_at_seconds

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if now.local is None:
            self._wakes_at_seconds = now.seconds + HUB_WITHOUT_TIME_SECONDS
            return ()
        self._wakes_at_seconds = None
        return self._read(CURRENT_TIME)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        return self.begin(now)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if characteristic != self._reads:
            return ()
        self._reads = None
        offset = None if now.local is None else _offset_seconds(characteristic, payload, now.local)
        if self._was_written:
            is_set = offset is not None and abs(offset) <= SET_WITHIN_SECONDS
            return (ClockMeasured(self._offset_seconds, is_set),)
        self._has_clock, self._offset_seconds = True, offset
        return self._write(now) if self._sets and now.local is not None else (ClockMeasured(offset, is_set=False),)

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if isinstance(step, Write):
            if step.characteristic != self._characteristic or not self._was_written:
                return ()
            self._reads, self._was_written = None, False
            return (ClockMeasured(self._offset_seconds, is_set=False),) if self._has_clock else ()
        if step.characteristic != self._reads:
            return ()
        self._reads = None
        if self._was_written:
            return (ClockMeasured(self._offset_seconds, is_set=True),)
        if step.characteristic == CURRENT_TIME:
            return self._read(DATE_TIME)
        # Some let it be written and not read.
        return self._write(now) if self._sets and now.local is not None else ()

    def _read(self, characteristic: str) -> Sequence[Step]:
        self._characteristic = self._reads = characteristic
        return (Read(characteristic),)

    def _write(self, now: Moment) -> Sequence[Step]:
        assert now.local is not None  # noqa: S101 - whoever calls has looked
        self._was_written = True
        if self._characteristic == DATE_TIME:
            payload = encode_date_time(_whole_seconds(now.local))
        else:
            payload = encode_current_time(now.local, AdjustReason.REFERENCE)
        self._reads = self._characteristic
        return Write(payload, self._characteristic), Read(self._characteristic)


def _whole_seconds(moment: datetime) -> datetime:
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0)


def _offset_seconds(characteristic: str, payload: bytes, local: datetime) -> float | None:
    """How far the device is ahead; None when it does not know the date, or says what cannot be read."""
    try:
        facts = {fact.name: fact.value for fact in decode(characteristic, payload).facts}
        said = datetime.fromisoformat(str(facts["device_time"]))
    except (DecodeError, KeyError):
        return None
    fraction = facts.get("second_fraction_256", 0)
    assert isinstance(fraction, int)  # noqa: S101 - the decoder says so
    return (said + timedelta(seconds=fraction / 256) - local).total_seconds()


def measured(_known: Known) -> Conversation:
    """The `converse` of a device whose clock is measured and left as it is."""
    return ClockConversation(sets=False)


def set_each_time(_known: Known) -> Conversation:
    """The `converse` of a device whose clock is set at each connection."""
    return ClockConversation(sets=True)
