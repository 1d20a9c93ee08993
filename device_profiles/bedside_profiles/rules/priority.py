"""How urgent an alarm condition is."""

from enum import StrEnum


class Priority(StrEnum):
    """As IEC 60601-1-8 uses the words: high wants action at once, medium promptly."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"
