"""How long to wait before the next attempt. Pure."""

FIRST_SECONDS = 0.5
MOST_SECONDS = 60.0
"""A broker that comes back is found within a minute; a region that comes back is not hit by every hub at once."""


def wait_seconds(failures: int, chance: float) -> float:
    """Capped exponential with full jitter: `chance` (0 to 1) of the span after `failures` attempts in a row."""
    span = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures, 16))
    return span * chance
