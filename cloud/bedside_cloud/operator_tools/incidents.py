"""`bedside-cloud fleet incident`: what only a person can clear up."""

import typer

from bedside_cloud.contracts.identity_administration import (
    INCIDENT_SETTLE,
    INCIDENTS,
    IncidentKind,
    IncidentList,
    IncidentRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE

incident = typer.Typer(help="Copied claims, keys and SD cards.", no_args_is_help=True)

INCIDENT_WORDS = {
    IncidentKind.CLAIM_USED_AGAIN: (
        "a claim that was used came again",
        "If nobody repeated an enrolment: revoke the hub, and enrol it with a new claim.",
    ),
    IncidentKind.CLAIM_OF_ANOTHER: (
        "a good claim came from another hub or computer",
        "Look whose label was used; make a new claim for the right hub.",
    ),
    IncidentKind.REQUEST_REPLAYED: (
        "an old certificate request came again",
        "Somebody listened in on an enrolment: revoke the hub, and enrol it over another network.",
    ),
    IncidentKind.KEY_OF_ANOTHER: (
        "it has the key of another hub",
        "The SD card was copied: write the second one anew, and enrol it with its own claim.",
    ),
    IncidentKind.REPLACED_CERTIFICATE: (
        "it came with a certificate that was replaced",
        "The SD card was copied, or put back from a copy: revoke the hub, and enrol it with a new claim.",
    ),
    IncidentKind.TWO_AT_ONCE: (
        "two computers speak as this hub",
        "The SD card was copied: switch one of them off, revoke the hub, and enrol it with a new claim.",
    ),
    IncidentKind.ANOTHER_COMPUTER: (
        "another computer came for the id of a hub that is out of service",
        "If it is meant to have the id: make a claim with its --serial. Else give it an id of its own.",
    ),
    IncidentKind.WIPED_IN_SERVICE: (
        "it says that it is wiped, and is not retired",
        "Look whom it serves: nobody is monitored there. Then retire it, or enrol it with a new claim.",
    ),
}
"""What happened, and what to do."""


@incident.command("list")
def incident_list(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """What somebody must look at: used claims, copied keys, copied SD cards.

    Example: bedside-cloud fleet incident list
    """
    found = ask(state, INCIDENTS, Empty(), IncidentList)
    if json:
        as_json(found)
        return
    rows = [
        (str(one.incident_id), one.hub_id, utc(one.last_at_ms), str(one.times), *INCIDENT_WORDS[one.kind])
        for one in found.incidents
    ]
    table(("no.", "hub", "last seen", "times", "what happened", "what to do"), rows, "No incident is open.")


@incident.command("settle")
def incident_settle(incident_id: int, state: StateOption = DEFAULT_STATE) -> None:
    """Say that an incident is cleared up. Should it happen again, it is listed again.

    Example: bedside-cloud fleet incident settle 3
    """
    left = ask(state, INCIDENT_SETTLE, IncidentRequest(incident_id=incident_id), IncidentList)
    say(f"Settled. {len(left.incidents)} still open.")
