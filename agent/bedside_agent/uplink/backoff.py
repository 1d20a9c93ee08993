"""How long to wait before the next attempt to connect. Pure.

When a broker restarts or a region comes back, every hub is without a connection at the same moment. Each waits a random
part of a span (full jitter), from the first attempt on: 42,000 hubs then come at no more than a few thousand a second,
which `tests/agent/uplink/test_backoff.py` counts. An attempt that fails costs the network a look-up of the name and one
packet an address; the handshake is paid only with a broker that is there.
"""

from dataclasses import dataclass

STEADY_SECONDS = 10.0
"""A connection that held so long was one. A broker that lets hubs in and drops them at once is not hit the harder."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Spans in seconds. Each doubles with each failure, up to its most."""

    spread_seconds: float = 20.0
    """Over which the first attempts after a loss are spread: 42,000 hubs come at 2,100 a second."""

    most_seconds: float = 60.0
    """A broker that comes back is found within a minute."""

    urgent_seconds: float = 2.0
    """While an alarm waits. Few hubs have one at the same moment."""

    urgent_most_seconds: float = 30.0
    """If every hub had one, they would come at 2,800 a second."""

    def wait_seconds(self, failures: int, chance: float) -> float:
        """`chance` (0 to 1) of the span after so many attempts that failed in a row; 0 after a steady connection."""
        return chance * _span(self.spread_seconds, self.most_seconds, failures)

    def wait_with_alarm_seconds(self, failures: int, chance: float) -> float:
        """The same while an alarm waits; `failures` are counted since it does."""
        return chance * _span(self.urgent_seconds, self.urgent_most_seconds, failures)


def _span(first: float, most: float, failures: int) -> float:
    return min(most, first * 2.0 ** min(failures, 16))
