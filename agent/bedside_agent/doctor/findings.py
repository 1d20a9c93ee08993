"""What a check of the hub comes to."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is."""

    FINE = "fine"
    WATCH = "watch"
    """It works, and will not for ever."""

    BROKEN = "broken"
    UNKNOWN = "unknown"
    """It could not be looked at: nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, in words, and what to do. `fix` is empty where nothing is."""

    check: str
    verdict: Verdict
    says: str
    fix: str = ""


def fine(check: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Verdict.FINE, says)


def watch(check: str, says: str, fix: str) -> Finding:
    """Not broken yet."""
    return Finding(check, Verdict.WATCH, says, fix)


def broken(check: str, says: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.BROKEN, says, fix)


def unknown(check: str, says: str, fix: str = "") -> Finding:
    """Nobody can say."""
    return Finding(check, Verdict.UNKNOWN, says, fix)
