"""Bounds of a field, written in its type: `Annotated[int, Between(0, 100)]`. The wire checks them."""

from dataclasses import dataclass
from typing import Annotated

MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a number, both included."""

    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Shape:
    """Bounds of a text or of bytes. `longest` counts characters or bytes."""

    longest: int = MAX_TEXT
    pattern: str = ""


Name = Annotated[str, Shape(64, r"[a-z0-9][a-z0-9_.-]{0,63}")]
"""A machine's name for something: a condition, a rule, an event kind."""

DeviceId = Annotated[str, Shape(64, r"[A-Za-z0-9._:-]{1,64}")]
"""How a hub names one of its devices."""
