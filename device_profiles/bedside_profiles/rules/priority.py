"""How urgent an alarm condition is."""

from enum import StrEnum


class Priority(StrEnum):
    """As IEC 60601-1-8 uses the words: high wants action at once, medium promptly."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


ORDER = (Priority.INFO, Priority.LOW, Priority.MEDIUM, Priority.HIGH)
"""From the least urgent to the most."""


def higher(one: Priority, other: Priority) -> Priority:
    """The more urgent of two."""
    return max(one, other, key=ORDER.index)
