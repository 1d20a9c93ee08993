"""How long to wait before a process that died is started again. Pure."""

FIRST_SECONDS = 0.2
"""A single crash must not be noticed: an alarm may be on its way."""

LONGEST_SECONDS = 5.0
"""Even what fails at every start is tried this often: its cause (a full disk) may go away by itself."""

SETTLED_SECONDS = 30.0
"""Who lived this long has earned a fresh start: the count begins anew."""


def deaths_in_a_row(deaths: int, lived_seconds: float) -> int:
    """The count after one more death of a process that lived so long."""
    return 1 if lived_seconds >= SETTLED_SECONDS else deaths + 1


def pause_seconds(deaths: int) -> float:
    """The pause after that many deaths in a row: doubling, capped."""
    return float(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(deaths - 1, 16)))
