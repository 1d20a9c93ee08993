"""UTC milliseconds, as the wire and the contracts have them, to and from PostgreSQL's timestamptz."""

import time
from datetime import UTC, datetime


def to_time(utc_ms: int) -> datetime:
    """UTC milliseconds as psycopg takes them, without rounding."""
    seconds, milliseconds = divmod(utc_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)


def to_ms(moment: datetime) -> int:
    """A timestamptz as UTC milliseconds."""
    return round(moment.timestamp() * 1000)


def utc_now_ms() -> int:
    """The cloud's wall clock."""
    return time.time_ns() // 1_000_000
