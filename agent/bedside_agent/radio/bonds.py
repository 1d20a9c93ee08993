"""What becomes of a bond: when one is made, and when a stale one is removed. Pure, to be read and tested as a table.

Some devices forget their hub: they were reset, given to another hub, or do so after every session. The hub's half of
the bond is then worse than none, because every attempt to encrypt with it fails. It is removed once in a row of
failures, and only on the device's own word: one that does not answer in time says nothing of its bond, and removing a
good bond costs a visit.
"""

from enum import Enum

from bedside_agent.radio.central import AccessRefusedError, KeyRefusedError, PairingFailedError, RadioError


class BondTrouble(Enum):
    """What an error says of the bond."""

    NEEDED = "needed"
    """The device asks for one, or does not count the one that the hub has."""
    REFUSED = "refused"
    """The device does not know the hub's key."""
    NOT_MADE = "not_made"
    """Pairing failed."""
    NONE = "none"
    """Nothing: the error is about something else, or nobody answered in time."""


class BondStep(Enum):
    """What to do about it."""

    PAIR = "pair"
    REMOVE = "remove"
    """Remove the hub's half of the bond, and tell a person."""
    LEAVE = "leave"


def trouble_of(error: RadioError) -> BondTrouble:
    """What the error says of the bond."""
    if isinstance(error, KeyRefusedError):
        return BondTrouble.REFUSED
    if isinstance(error, PairingFailedError):
        return BondTrouble.NOT_MADE
    if isinstance(error, AccessRefusedError) and error.needs_pairing:
        return BondTrouble.NEEDED
    return BondTrouble.NONE


def next_step(trouble: BondTrouble, *, bonded: bool, may_pair: bool, removed: bool, fresh: bool) -> BondStep:
    """`bonded`: the hub has a bond with the device now; `fresh`: it was made on this very connection.

    `removed`: one was removed already since the device was last read.
    """
    if fresh:
        return BondStep.LEAVE
    if trouble in (BondTrouble.NEEDED, BondTrouble.REFUSED) and bonded:
        return BondStep.LEAVE if removed else BondStep.REMOVE
    if trouble is BondTrouble.NEEDED and may_pair:
        return BondStep.PAIR
    return BondStep.LEAVE
