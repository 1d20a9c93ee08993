"""An enrolment that waits for a network: its claim is kept, and used as soon as there is one."""

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path

from bedside_agent.errors import EnrolmentError
from bedside_agent.uplink.claim import Claim, parse_claim
from bedside_agent.uplink.enrolment import enrol
from bedside_agent.uplink.identity import Identity
from bedside_agent.whole_file import write_whole

FILE = "claim"
"""In the state directory, mode 0600: whoever reads it could enrol in this hub's place, once."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0

log = logging.getLogger(__name__)


def keep(state: Path, text: str) -> None:
    """Keep a claim until it is used."""
    write_whole(state / FILE, text.encode(), mode=0o600)


def kept(state: Path) -> Claim | None:
    """The claim that waits; None without one. ClaimError when the file holds something else."""
    try:
        return parse_claim((state / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def used(state: Path) -> None:
    """It is of no use any more."""
    (state / FILE).unlink(missing_ok=True)


async def complete(
    state: Path, identity: Identity, knows_time: Callable[[], bool], trying: Callable[[str], None]
) -> None:
    """Enrol with the claim that waits, again and again until it is done; at once where none waits.

    `trying` is told why it is not done yet. EnrolmentError when the claim itself is refused: it is put away.
    """
    claim = kept(state)
    if claim is None:
        return
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            await asyncio.to_thread(enrol, claim, identity, knows_time=knows_time())
        except EnrolmentError as error:
            if not error.retry:
                used(state)
                raise
            trying(error.what)
            log.warning("enrolment.waits", extra={"reason": error.what})
            await asyncio.sleep(pause * (0.5 + 0.5 * random.random()))  # noqa: S311 - spreads hubs, hides nothing
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            used(state)
            log.info("enrolment.done")
            return
