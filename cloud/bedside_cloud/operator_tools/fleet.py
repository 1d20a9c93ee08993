"""`bedside-cloud fleet`: claims, hubs and the devices they have shown."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import urlencode

import typer
from rich.console import Console
from rich.progress import Progress

from bedside_cloud.contracts.fleet_api import PlaceAnswer
from bedside_cloud.contracts.identity_administration import CLAIM_CREATE, ClaimAnswer, ClaimRequest
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry_administration import DEVICES, DeviceRoll
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask, place_of
from bedside_cloud.operator_tools.commands import command
from bedside_cloud.operator_tools.hubs import hub
from bedside_cloud.operator_tools.incidents import incident
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_profiles.pairing_code import new_pairing_code

PAGE = "http://bedside.local/?pair="
"""The patient's page of a hub whose computer is called `bedside`, as the image calls it."""

fleet = typer.Typer(help="Hubs and devices.", no_args_is_help=True)
claim = typer.Typer(help="One-time permissions to enrol.", no_args_is_help=True)
device = typer.Typer(help="Devices.", no_args_is_help=True)
fleet.add_typer(claim, name="claim")
fleet.add_typer(hub, name="hub")
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
    place = place_of(state)
    tickets = []
    for one in _with_progress(ids):
        request = ClaimRequest(hub_id=one, life_seconds=round(hours * 3600), hub_serial=serial)
        tickets.append(claim_ticket(place, ask(state, CLAIM_CREATE, request, ClaimAnswer), host))
    if sheet is not None:
        # What draws pages takes a sixth of the time in which every other command answers.
        from bedside_cloud.operator_tools.labels import Label, labels_pdf

        labels = [
            Label(one.hub_id, one.claim, one.text, utc(one.expires_at_ms), PAGE + one.pairing, one.pairing)
            for one in tickets
        ]
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


def claim_ticket(place: PlaceAnswer, answer: ClaimAnswer, host: str | None = None) -> ClaimTicket:
    """The claim with where to bring it and whom to trust there."""
    name = host or place.names[0]
    if ":" in name:
        name = f"[{name}]"
    est_url = f"https://{name}:{place.est_port}"
    broker = f"{name}:{place.hub_port}"
    pairing = new_pairing_code()
    fields = {"est": est_url, "broker": broker, "hub": answer.hub_id, "claim": answer.claim, "ca": place.ca_sha256}
    fields["pair"] = pairing
    return ClaimTicket(
        hub_id=answer.hub_id,
        claim=answer.claim,
        expires_at_ms=answer.expires_at_ms,
        est_url=est_url,
        broker=broker,
        ca_sha256=place.ca_sha256,
        pairing=pairing,
        text=f"bedside:1?{urlencode(fields, safe=':/[]')}",
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
