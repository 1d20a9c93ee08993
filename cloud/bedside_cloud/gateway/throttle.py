"""How often an address may be wrong. Pure: the time is passed in."""

MOST_ADDRESSES = 10_000
"""Who is remembered at a time; more would let a flood of addresses fill the memory."""


class Throttle:
    """After `most` failures within `seconds`, an address has to wait until the first of them is that old."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._failures: dict[str, list[float]] = {}

    def wait_seconds(self, address: str, now: float) -> float:
        """How long the address has to wait; 0 when it may try."""
        failures = [at for at in self._failures.get(address, ()) if at > now - self._seconds]
        if len(failures) < self._most:
            return 0.0
        return failures[-self._most] + self._seconds - now

    def failed(self, address: str, now: float) -> None:
        """It was wrong once more."""
        failures = [at for at in self._failures.pop(address, []) if at > now - self._seconds]
        self._failures[address] = [*failures[-self._most :], now]
        if len(self._failures) > MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]
