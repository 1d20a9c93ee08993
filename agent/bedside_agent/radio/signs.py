"""How one adapter is, told by what was tried with it and what was heard: pure, with the time passed in (seconds).

An adapter that is wedged does not say so. It refuses (InProgress, NotReady, an object that is gone), it answers
nothing, or it lets the scan run and hears nobody.
"""

from dataclasses import dataclass, field

from bedside_agent.radio.central import CallTimedOutError, RadioBusyError, RadioError, RadioUnavailableError

SCAN, CONNECT = "scan", "connect"

FAILING_SECONDS = 20.0
"""So long an adapter may fail before it is helped: bluetoothd is back after a restart within seconds."""

SILENT_SECONDS = 90.0
"""So long a scan may hear nobody at all. Phones, watches and televisions of the house are heard too."""

STEADY_SECONDS = 3600.0

STALE_SECONDS = 90.0
"""After so long without a new sign an old one says nothing: nobody searched or connected meanwhile."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`since` when, and `reason` is one sentence for a technician. `is_silence`: nothing fails, and nobody is heard.

    `has_links`: devices are connected over the adapter all the same.
    """

    since: float
    reason: str
    is_silence: bool
    has_links: bool = False


@dataclass(slots=True)
class _Failing:
    since: float
    last: float
    reason: str


@dataclass(slots=True)
class Signs:
    """What is known of one adapter."""

    heard_at: float = float("-inf")
    well_at: float = float("-inf")
    """When something last went well: somebody was heard, a scan began, a connection came about."""
    _steady_since: float = float("inf")
    _searching_since: float | None = None
    _searched_at: float = float("-inf")
    _failing: dict[str, _Failing] = field(default_factory=dict)

    @property
    def has_heard_steadily(self) -> bool:
        """Whether it had heard somebody all the time for an hour before it fell silent.

        Where there is nobody but a cuff that is used twice a day, silence is no sign.
        """
        return self.heard_at - self._steady_since >= STEADY_SECONDS

    def heard(self, now: float) -> None:
        """Somebody advertised."""
        if now >= self.heard_at + SILENT_SECONDS:
            self._steady_since = now
        self.heard_at = now

    def searching(self, now: float) -> None:
        """The scan runs, for somebody who searches."""
        if self._searching_since is None or now > self._searched_at + STALE_SECONDS:
            self._searching_since = now
        self._searched_at = now

    def went_well(self, what: str, now: float) -> None:
        """`what` is `SCAN` or `CONNECT`."""
        self._failing.pop(what, None)
        self.well_at = now

    def failed(self, what: str, error: RadioError, now: float) -> None:
        """No device has a part in a scan; of a connection, an error that is the device's own says nothing."""
        if what != SCAN and not isinstance(error, RadioBusyError | RadioUnavailableError | CallTimedOutError):
            return
        known = self._failing.get(what)
        if known is None or now > known.last + STALE_SECONDS:
            self._failing[what] = _Failing(now, now, error.reason)
        else:
            known.last = now

    def is_failing(self, now: float) -> bool:
        """Whether the last of what was tried failed, however short a time ago that began."""
        return bool(self._fresh(now))

    def _fresh(self, now: float) -> list[_Failing]:
        return [one for one in self._failing.values() if now <= one.last + STALE_SECONDS]

    def trouble(self, now: float, *, has_links: bool = False) -> Trouble | None:
        """What is wrong with the adapter now; None when nothing is known to be."""
        failing = self._fresh(now)
        longest = min(failing, key=lambda one: one.since, default=None)
        if longest is not None and now >= longest.since + FAILING_SECONDS:
            return Trouble(longest.since, longest.reason, is_silence=False, has_links=has_links)
        if failing or self._searching_since is None or now > self._searched_at + STALE_SECONDS:
            return None
        silent_since = max(self.heard_at, self._searching_since)
        if now >= silent_since + SILENT_SECONDS:
            reason = f"the scan has heard nobody for {SILENT_SECONDS:g} s"
            return Trouble(silent_since, reason, is_silence=True, has_links=has_links)
        return None
