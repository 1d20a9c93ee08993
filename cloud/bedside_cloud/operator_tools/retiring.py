"""Taking a hub out of service: steps at two services, in an order in which a break between them is healed by running
the same command again.

Registry first: once it has committed, the old hub serves nobody, and the new one, if there is one, serves the patient.
Only then does identity hear that the old one is retired. In between it is let in as before, which harms nobody: it is
sent no plan in force, and what it measures from then on is nobody's until a person says whose. The other way round a
hub would be out of service for one of the two while a patient depends on it.
"""

from pathlib import Path

from bedside_cloud.contracts.identity_administration import (
    ENDED,
    HUB_ACCESS,
    HUB_ACCESS_SET,
    Access,
    HubAccessAnswer,
    HubAccessEntry,
    HubAccessList,
    HubAccessRequest,
)
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry import HUBS, Hub, HubList
from bedside_cloud.contracts.registry_administration import HUB_RETIRE, Retired, RetireRequest
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask


class TakenOut(Message):
    """What was done, now or the first time. `hub` is how the old one is let in from now on."""

    retired: Retired
    hub: HubAccessEntry
    everywhere: bool


def known_hub(state: Path, hub_id: str) -> Hub:
    """What registry knows of it; OperatorError when there is none."""
    found = next((one for one in ask(state, HUBS, Empty(), HubList).hubs if one.hub_id == hub_id), None)
    if found is None:
        raise OperatorError(
            f"There is no hub {hub_id}.",
            "Nobody has enrolled it or given it to a patient.",
            "Look for it with `bedside-cloud fleet hub list`, or make a claim for it.",
        )
    return found


def access_of(state: Path, hub_id: str) -> HubAccessEntry | None:
    """How it is let in; None for one that never enrolled."""
    return next((one for one in ask(state, HUB_ACCESS, Empty(), HubAccessList).hubs if one.hub_id == hub_id), None)


def check(state: Path, old: str, new: str | None) -> HubAccessEntry:
    """How the old hub is let in now; OperatorError when it, or the new one, cannot go that way. Changes nothing."""
    known, entry = known_hub(state, old), access_of(state, old)
    if entry is None:
        raise OperatorError(
            f"{old} has never enrolled.",
            "There is nothing to take out of service.",
            "See: bedside-cloud fleet hub list",
        )
    if new is None:
        if entry.access in ENDED:
            raise OperatorError(
                f"{old} is {entry.access.value}.",
                "It is out for good already, and cannot deliver anything any more.",
                f"If a patient still has it: bedside-cloud fleet hub replace {old} NEW.",
            )
        return entry
    # What was begun is brought to its end, whatever has become of the new hub since.
    if known.retired_at_ms is None:
        successor = access_of(state, known_hub(state, new).hub_id)
        if successor is None or successor.access is not Access.ACTIVE:
            how = "has not enrolled" if successor is None else f"is {successor.access.value}"
            raise OperatorError(
                f"{new} {how}.",
                "A patient is given only to a hub that is let in.",
                f"Make a claim for it: bedside-cloud fleet claim new --hub-id {new}; enrol it, then the same again.",
            )
    return entry


def take_out(state: Path, old: str, new: str | None, at_ms: int | None, before: HubAccessEntry) -> TakenOut:
    """Retire the hub, with `new` in its place if one is named; it was checked, and was let in as `before`.

    Running it again changes nothing that was done, and does what was not. A hub that is out for good stays so.
    """
    retired = ask(state, HUB_RETIRE, RetireRequest(hub_id=old, new_hub_id=new, at_ms=at_ms), Retired)
    if before.access in ENDED:
        return TakenOut(retired=retired, hub=before, everywhere=True)
    why = "" if retired.new_hub_id is None else f"replaced by {retired.new_hub_id}"
    request = HubAccessRequest(hub_id=old, access=Access.RETIRED, why=why)
    answer = ask(state, HUB_ACCESS_SET, request, HubAccessAnswer)
    return TakenOut(retired=retired, hub=answer.hub, everywhere=answer.everywhere)


def may_be_wiped(hub: Hub, access: Access) -> tuple[bool, str]:
    """Whether everything that a hub held is in the cloud, and a sentence on it. Pure."""
    if access is Access.WIPED:
        return True, "It is wiped."
    if access is Access.REVOKED:
        return False, "It is revoked, and cannot deliver what it may still hold."
    if access is not Access.RETIRED:
        return False, f"It is {access.value}: retire it first."
    if hub.waiting is None or hub.waiting_at_ms is None:
        return False, "It was not heard since it was retired: leave it switched on, with internet."
    if hub.waiting:
        items = "1 item waits" if hub.waiting == 1 else f"{hub.waiting} items wait"
        return False, f"{items} on it to be delivered: leave it switched on, with internet."
    return True, "Nothing waits on it any more: it may be wiped."
