"""UTC milliseconds, as the wire and the contracts have them, to and from PostgreSQL's timestamptz."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_time(utc_ms: int) -> datetime:
    """UTC milliseconds as psycopg takes them, without rounding."""
    return _EPOCH + timedelta(milliseconds=utc_ms)


def to_ms(moment: datetime) -> int:
    """A timestamptz as UTC milliseconds."""
    return round(moment.timestamp() * 1000)


def utc_now_ms() -> int:
    """The cloud's wall clock."""
    return time.time_ns() // 1_000_000
