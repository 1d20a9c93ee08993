"""`bedside-cloud fleet`: hubs and the devices they have shown."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.progress import Progress

from bedside_cloud.contracts.identity_administration import (
    CLAIM_CREATE,
    HUB_ACCESS,
    HUB_ACCESS_SET,
    INCIDENT_SETTLE,
    INCIDENTS,
    Access,
    ClaimAnswer,
    ClaimRequest,
    HubAccessAnswer,
    HubAccessEntry,
    HubAccessList,
    HubAccessRequest,
    Incident,
    IncidentKind,
    IncidentList,
    IncidentRequest,
)
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry import HUBS, Hub, HubList
from bedside_cloud.contracts.registry_administration import DEVICES, DeviceEntry, DeviceRoll
from bedside_cloud.engines.certificates.authority import fingerprint
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.commands import command
from bedside_cloud.operator_tools.labels import Label, labels_pdf
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State
from bedside_profiles.pairing_code import new_pairing_code

PAGE = "http://bedside.local:8080/?pair="
"""The patient's page of a hub whose computer is called `bedside`, as the image calls it."""

fleet = typer.Typer(help="Hubs and devices.", no_args_is_help=True)
claim = typer.Typer(help="One-time permissions to enrol.", no_args_is_help=True)
hub = typer.Typer(help="Hubs.", no_args_is_help=True)
device = typer.Typer(help="Devices.", no_args_is_help=True)
fleet.add_typer(claim, name="claim")
fleet.add_typer(hub, name="hub")
incident = typer.Typer(help="Copied claims, keys and SD cards.", no_args_is_help=True)
fleet.add_typer(device, name="device")
fleet.add_typer(incident, name="incident")
fleet.add_typer(command, name="command")


class ClaimTicket(Message):
    """Everything that a hub needs to enrol. `text` is what a tech pastes into `bedside-agent init`; `pairing` the code
    that opens the patient's page to telephones, which only the label and the hub know."""

    hub_id: str
    claim: str
    expires_at_ms: int
    est_url: str
    broker: str
    ca_sha256: str
    pairing: str
    text: str


class ClaimTickets(Message):
    """Of a whole box of hubs."""

    claims: tuple[ClaimTicket, ...]


@claim.command("new")
def claim_new(
    hub_id: Annotated[str, typer.Option("--hub-id", help="The hub that may enrol: a-z, 0-9 and -.")],
    hours: Annotated[float, typer.Option("--hours", help="How long the claim is good.")] = 24,
    serial: Annotated[
        str | None, typer.Option("--serial", help="The computer's serial number: no other can use the claim then.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=10_000, help="For so many hubs: ID-001, ID-002 and so on.")
    ] = 1,
    first: Annotated[int, typer.Option("--first", min=0, help="The number that they begin with.")] = 1,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="A new file with labels to print, with QR codes.")] = None,
    host: Annotated[
        str | None, typer.Option("--host", help="How the hub reaches this machine, if not by its first name.")
    ] = None,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Make a claim that lets one hub enrol once; or labels for a box of hubs.

    Example: bedside-cloud fleet claim new --hub-id ward --count 20 --hours 720 --pdf labels.pdf
    """
    if count > 1 and serial is not None:
        raise typer.BadParameter("A serial number is of one computer: leave --serial out, or --count.")
    ids = [hub_id] if count == 1 else [f"{hub_id}-{number:03}" for number in range(first, first + count)]
    # Made before any claim: a sheet that cannot be written would leave claims that nobody knows.
    sheet = _new_file(pdf) if pdf is not None else None
    opened = State.open(state.absolute())
    tickets = []
    for one in _with_progress(ids):
        request = ClaimRequest(hub_id=one, life_seconds=round(hours * 3600), hub_serial=serial)
        tickets.append(claim_ticket(opened, ask(state, CLAIM_CREATE, request, ClaimAnswer), host))
    if sheet is not None:
        labels = [Label(one.hub_id, one.claim, one.text, utc(one.expires_at_ms), PAGE + one.pairing) for one in tickets]
        with sheet:
            sheet.write(labels_pdf(labels))
    if json:
        as_json(tickets[0] if count == 1 else ClaimTickets(claims=tuple(tickets)))
    elif pdf is not None:
        say(f"{pdf}: {count} labels, good until {utc(tickets[0].expires_at_ms)}. Who reads one can enrol as that hub.")
    else:
        say(f"On the hub, before {utc(tickets[0].expires_at_ms)}, once:")
        for ticket in tickets:
            say(f"  bedside-agent init --claim '{ticket.text}'")


def _with_progress(ids: list[str]) -> Iterator[str]:
    with Progress(console=Console(stderr=True), transient=True, disable=len(ids) == 1) as progress:
        yield from progress.track(ids, description="claims")


def _new_file(path: Path) -> BinaryIO:
    """Readable by its owner alone."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as cause:
        raise OperatorError(
            f"{path} cannot be written.", f"{cause.strerror}.", "Name another file; no claim was made."
        ) from cause


def claim_ticket(state: State, answer: ClaimAnswer, host: str | None = None) -> ClaimTicket:
    """The claim with where to bring it and whom to trust there."""
    name = host or state.place.names[0]
    if ":" in name:
        name = f"[{name}]"
    est_url = f"https://{name}:{state.place.ports.est}"
    broker = f"{name}:{state.place.ports.hubs}"
    ca_sha256 = fingerprint(state.certificates.root())
    pairing = new_pairing_code()
    fields = {"est": est_url, "broker": broker, "hub": answer.hub_id, "claim": answer.claim, "ca": ca_sha256}
    fields["pair"] = pairing
    return ClaimTicket(
        hub_id=answer.hub_id,
        claim=answer.claim,
        expires_at_ms=answer.expires_at_ms,
        est_url=est_url,
        broker=broker,
        ca_sha256=ca_sha256,
        pairing=pairing,
        text=f"bedside:1?{urlencode(fields, safe=':/[]')}",
    )


@hub.command("list")
def hub_list(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every hub: connected or not, allowed or not.

    Example: bedside-cloud fleet hub list
    """
    hubs = ask(state, HUBS, Empty(), HubList)
    if json:
        as_json(hubs)
        return
    access = {entry.hub_id: entry for entry in ask(state, HUB_ACCESS, Empty(), HubAccessList).hubs}
    rows = []
    for one in hubs.hubs:
        entry = access.get(one.hub_id)
        allowed = entry.access.value if entry else "not enrolled"
        online = "online" if one.online else "offline"
        ends = utc(entry.certificate_ends_ms) if entry else "–"
        version = "–" if one.plan_version is None else str(one.plan_version)
        oversized = str(entry.oversized) if entry else "–"
        rows.append((one.hub_id, online, allowed, one.state, utc(one.last_seen_ms), version, ends, oversized))
    columns = ("hub", "link", "access", "use", "last seen", "plan", "certificate ends", "too big")
    table(columns, rows, "No hub yet. Make a claim: bedside-cloud fleet claim new --hub-id ID")


class HubSheet(Message):
    """Everything that the cloud knows of one hub. `access` is None for one that is not enrolled."""

    hub: Hub
    access: HubAccessEntry | None
    devices: tuple[DeviceEntry, ...]
    incidents: tuple[Incident, ...]


@hub.command("show")
def hub_show(hub_id: str, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """One hub: its link, its certificate, its devices, and what somebody must look at.

    Example: bedside-cloud fleet hub show hub-7
    """
    known = next((one for one in ask(state, HUBS, Empty(), HubList).hubs if one.hub_id == hub_id), None)
    if known is None:
        raise OperatorError(
            f"There is no hub {hub_id}.",
            "Nobody has enrolled it or given it to a patient.",
            "Look for it with `bedside-cloud fleet hub list`, or make a claim for it.",
        )
    sheet = HubSheet(
        hub=known,
        access=next((one for one in ask(state, HUB_ACCESS, Empty(), HubAccessList).hubs if one.hub_id == hub_id), None),
        devices=tuple([one for one in ask(state, DEVICES, Empty(), DeviceRoll).devices if one.hub_id == hub_id]),
        incidents=tuple(
            [one for one in ask(state, INCIDENTS, Empty(), IncidentList).incidents if one.hub_id == hub_id]
        ),
    )
    if json:
        as_json(sheet)
        return
    access = sheet.access
    facts = (
        ("link", f"{'online' if known.online else 'offline'}, last seen {utc(known.last_seen_ms)}"),
        ("access", f"{access.access.value}, since {utc(access.enrolled_at_ms)}" if access else "not enrolled"),
        ("certificate ends", utc(access.certificate_ends_ms) if access else "–"),
        ("use", known.state),
        ("software", known.agent_version or "–"),
        ("plan", "–" if known.plan_version is None else str(known.plan_version)),
    )
    table((hub_id, ""), facts, "")
    say("")
    device_rows = [(one.device_id, one.profile or "–", one.patient_id or "nobody's") for one in sheet.devices]
    table(("device", "profile", "patient"), device_rows, "It has shown no device yet.")
    for one in sheet.incidents:
        say(f"\nIncident {one.incident_id}: {'. '.join(INCIDENT_WORDS[one.kind])}")


@hub.command("suspend")
def hub_suspend(hub_id: str, state: StateOption = DEFAULT_STATE) -> None:
    """Keep a hub out until `resume`; it goes on storing.

    Example: bedside-cloud fleet hub suspend hub-7
    """
    _set_access(state, hub_id, Access.SUSPENDED)


@hub.command("resume")
def hub_resume(hub_id: str, state: StateOption = DEFAULT_STATE) -> None:
    """Let a suspended hub in again.

    Example: bedside-cloud fleet hub resume hub-7
    """
    _set_access(state, hub_id, Access.ACTIVE)


@hub.command("revoke")
def hub_revoke(
    hub_id: str,
    confirm: Annotated[str, typer.Option("--confirm", prompt="The hub's id again", help="The hub's id again.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """End a hub's certificates for good: it comes back only with a new claim.

    Example: bedside-cloud fleet hub revoke hub-7 --confirm hub-7
    """
    if confirm != hub_id:
        raise typer.BadParameter("The two ids differ; nothing was done.")
    _set_access(state, hub_id, Access.REVOKED)


def _set_access(state: Path, hub_id: str, access: Access) -> None:
    answer = ask(state, HUB_ACCESS_SET, HubAccessRequest(hub_id=hub_id, access=access), HubAccessAnswer)
    say(f"{answer.hub.hub_id} is {answer.hub.access.value}.")
    if not answer.everywhere:
        say(
            "Not every replica of identity has confirmed this: it may decide by the old state until it reaches the "
            "database again. Run `bedside-cloud fleet hub list`, and this command once more if it stays so."
        )


@device.command("list")
def device_list(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every device that a hub has shown or that was assigned.

    Example: bedside-cloud fleet device list
    """
    roll = ask(state, DEVICES, Empty(), DeviceRoll)
    if json:
        as_json(roll)
        return
    rows = (
        (
            one.device_id,
            one.profile or "–",
            one.hub_id or "–",
            one.patient_id or "–",
            "–" if one.user is None else str(one.user),
        )
        for one in roll.devices
    )
    table(("device", "profile", "hub", "patient", "slot"), rows, "No device yet.")


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
