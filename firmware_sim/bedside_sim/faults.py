"""What goes wrong between a device and its hub: bytes that come in pieces, and links that come and go."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


def pieces(data: bytes, dice: random.Random, longest: int) -> Iterator[bytes]:
    """`data` in order, split where a serial adapter's buffers might: pieces of 1 to `longest` bytes."""
    at = 0
    while at < len(data):
        size = dice.randint(1, longest)
        yield data[at : at + size]
        at += size


@dataclass(slots=True)
class LineFaults:
    """What is wrong with a serial device, or its cable. May be changed while it runs.

    `split` lets its bytes come in pieces of 1 to 7; `garbage_bytes` stand before each thing that it says, made by
    `dice`; `unanswered` questions are lost on their way; a `silent` one says nothing at all.
    """

    dice: random.Random
    split: bool = False
    garbage_bytes: int = 0
    unanswered: int = 0
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Flapping:
    """A link that is there for `up_seconds`, away for `down_seconds`, and so on."""

    up_seconds: int
    down_seconds: int

    def is_up(self, second: int) -> bool:
        """Whether the device can be heard in this second."""
        return second % (self.up_seconds + self.down_seconds) < self.up_seconds
