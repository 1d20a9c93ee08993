"""Where the choices of a case come from: a seeded generator, or the bytes with which a fuzzer steers."""

import random
from typing import Protocol


class Choices(Protocol):
    """Every choice that a case makes, so that the same source makes the same case."""

    def below(self, bound: int) -> int:
        """0 to `bound` - 1."""
        ...

    def noise(self, size: int) -> bytes:
        """Bytes without a meaning."""
        ...


class Dice:
    """The choices of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, bound: int) -> int:
        """See `Choices`."""
        return int(self._random.random() * bound)

    def noise(self, size: int) -> bytes:
        """See `Choices`."""
        return self._random.randbytes(size)


class Steered:
    """The choices that a fuzzer's bytes make; where they end, always the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, bound: int) -> int:
        """See `Choices`."""
        self._at += 2
        return int.from_bytes(self._data[self._at - 2 : self._at], "little") % bound

    def noise(self, size: int) -> bytes:
        """See `Choices`."""
        self._at += size
        return self._data[self._at - size : self._at].ljust(size, b"\x00")
