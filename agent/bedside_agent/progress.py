"""Whether every part of the agent still moves: what the watchdog is fed by. Pure; monotonic milliseconds."""

from collections.abc import Mapping


def patience_ms(status_seconds: int) -> Mapping[str, int]:
    """How long each part may stand still before the agent is better started again."""
    return {
        "rules": 15_000,  # they run once a second
        "buffer": 60_000,  # its thread is asked every few seconds; a bad card can take half a minute for a write
        "uplink": 900_000 + 1000 * status_seconds,  # it says its status, or tries a connection every few minutes
    }


class Progress:
    """Each part says `moved`; what has not for longer than its patience is stuck."""

    def __init__(self, patience_ms: Mapping[str, int], now_ms: int) -> None:
        self._patience_ms = patience_ms
        self._moved_ms = dict.fromkeys(patience_ms, now_ms)

    def moved(self, part: str, now_ms: int) -> None:
        """The part did something just now."""
        self._moved_ms[part] = now_ms

    def stuck(self, now_ms: int) -> tuple[str, ...]:
        """Parts that stand still for too long."""
        return tuple([part for part, at_ms in self._moved_ms.items() if now_ms - at_ms > self._patience_ms[part]])
