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


@dataclass(frozen=True, slots=True)
class Flapping:
    """A link that is there for `up_seconds`, away for `down_seconds`, and so on."""

    up_seconds: int
    down_seconds: int

    def is_up(self, second: int) -> bool:
        """Whether the device can be heard in this second."""
        return second % (self.up_seconds + self.down_seconds) < self.up_seconds
