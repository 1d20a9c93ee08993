"""What is done for an adapter that is wedged, one rung after the other. Pure, with the time passed in (seconds).

Each rung is given time to work. The last one reboots the computer: at most a few times a day, never soon after a start,
never while an alarm waits to be sent, and for a scan that hears nobody only if it had heard somebody all the time
before. A hub in a lonely house hears nobody for hours, and is not broken. Links that stand are spared: of a silent scan
they show that the adapter works, and of one that fails that there is less haste.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bedside_agent.radio.signs import Signs, Trouble


class Rung(StrEnum):
    """In the order in which they are tried."""

    RESTART_SCAN = "restart_scan"
    POWER_CYCLE = "power_cycle"
    RESTART_SERVICE = "restart_service"
    """bluetoothd, the driver of a built-in adapter, and the USB port of a dongle."""
    REBOOT = "reboot"


WAITS_SECONDS = {Rung.RESTART_SCAN: 0.0, Rung.POWER_CYCLE: 30.0, Rung.RESTART_SERVICE: 60.0, Rung.REBOOT: 180.0}
"""How long after the rung before it each is tried."""

LINKS_FACTOR = 4.0
"""How much longer each is waited for while devices are connected: all of them lose their links by it."""

AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 1800.0, 21600.0
"""After the last rung the ladder is climbed again from the power-cycle on; after twice the time each time."""

REBOOTS_A_DAY = 2
DAY_MS = 24 * 3600 * 1000
SETTLED_SECONDS = 1800.0
"""A computer that has just started is not started again: the same trouble would keep it starting for ever."""


@dataclass(frozen=True, slots=True)
class Climb:
    """How far up an adapter's ladder is, and since when. `rung` is the last that was tried; None: none yet.

    `rounds` counts the times that it was climbed in vain.
    """

    rung: Rung | None = None
    tried_at: float = float("-inf")
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """`rung` is to be tried now; None is for nothing. `is_over`: what was wrong is wrong no more."""

    climb: Climb
    rung: Rung | None = None
    is_over: bool = False


GROUND = Climb()


def step(climb: Climb, signs: Signs, trouble: Trouble | None, now: float) -> Step:
    """The next step of one adapter's ladder."""
    if trouble is None:
        if climb.rung is None:
            return Step(GROUND)
        # That nothing is known to be wrong is no proof: nobody may have tried anything since.
        is_proven = max(signs.well_at, signs.heard_at) > climb.tried_at and not signs.is_failing(now)
        return Step(GROUND, is_over=True) if is_proven else Step(climb)
    due, wait_seconds = _following(climb, trouble)
    if now < climb.tried_at + wait_seconds:
        return Step(climb)
    rounds = climb.rounds + (climb.rung is Rung.REBOOT or climb.rung is due)
    return Step(Climb(due, now, rounds), due)


def _following(climb: Climb, trouble: Trouble) -> tuple[Rung, float]:
    """The rung after the last one, and how long after it."""
    again = min(AGAIN_SECONDS * 2**climb.rounds, LONGEST_AGAIN_SECONDS)
    if climb.rung is None:
        return Rung.RESTART_SCAN, 0.0
    if trouble.is_silence and trouble.has_links:
        return Rung.RESTART_SCAN, again
    if climb.rung is Rung.REBOOT:
        return Rung.POWER_CYCLE, again
    rungs = tuple(Rung)
    following = rungs[rungs.index(climb.rung) + 1]
    return following, WAITS_SECONDS[following] * (LINKS_FACTOR if trouble.has_links else 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a reboot depends on. `reboots_ms` are the UTC times of those asked for, by the hub's clock then."""

    up_seconds: float
    now_ms: int
    knows_time: bool
    reboots_ms: Sequence[int]
    alarms_waiting: int
    buffer_is_safe: bool


def reboot_refusal(trouble: Trouble, signs: Signs, standing: Standing) -> str | None:
    """Why the computer is not rebooted now, in words; None when it may be."""
    if trouble.is_silence and not signs.has_heard_steadily:
        return "nobody was heard for an hour on end before: there may be nobody"
    if standing.alarms_waiting:
        return "an alarm waits to be sent"
    if not standing.buffer_is_safe:
        return "what was measured is in memory alone"
    if standing.up_seconds < SETTLED_SECONDS:
        return "the computer was started less than half an hour ago"
    # Without the right time, or with times to come in the record, every reboot that is known counts.
    recent = [at for at in standing.reboots_ms if not standing.knows_time or at > standing.now_ms - DAY_MS]
    if len(recent) >= REBOOTS_A_DAY:
        return f"it was rebooted {len(recent)} times within a day"
    return None
