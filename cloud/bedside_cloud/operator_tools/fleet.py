"""`bedside-cloud fleet`: hubs and the devices they have shown."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from bedside_cloud.contracts.identity_administration import (
    CLAIM_CREATE,
    HUB_ACCESS,
    HUB_ACCESS_SET,
    Access,
    ClaimAnswer,
    ClaimRequest,
    HubAccessAnswer,
    HubAccessList,
    HubAccessRequest,
)
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry import HUBS, HubList
from bedside_cloud.contracts.registry_administration import DEVICES, DeviceRoll
from bedside_cloud.engines.certificates.authority import fingerprint
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State

fleet = typer.Typer(help="Hubs and devices.", no_args_is_help=True)
claim = typer.Typer(help="One-time permissions to enrol.", no_args_is_help=True)
hub = typer.Typer(help="Hubs.", no_args_is_help=True)
device = typer.Typer(help="Devices.", no_args_is_help=True)
fleet.add_typer(claim, name="claim")
fleet.add_typer(hub, name="hub")
fleet.add_typer(device, name="device")


class ClaimTicket(Message):
    """Everything that a hub needs to enrol. `text` is what a tech pastes into `bedside-agent init`."""

    hub_id: str
    claim: str
    expires_at_ms: int
    est_url: str
    broker: str
    ca_sha256: str
    text: str


@claim.command("new")
def claim_new(
    hub_id: Annotated[str, typer.Option("--hub-id", help="The hub that may enrol: a-z, 0-9 and -.")],
    hours: Annotated[float, typer.Option("--hours", help="How long the claim is good.")] = 24,
    host: Annotated[
        str | None, typer.Option("--host", help="How the hub reaches this machine, if not by its first name.")
    ] = None,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Make a claim that lets one hub enrol once.

    Example: bedside-cloud fleet claim new --hub-id hub-7
    """
    request = ClaimRequest(hub_id=hub_id, life_seconds=round(hours * 3600))
    answer = ask(state, CLAIM_CREATE, request, ClaimAnswer)
    ticket = claim_ticket(State.open(state.absolute()), answer, host)
    if json:
        as_json(ticket)
        return
    say(f"On the hub, before {utc(ticket.expires_at_ms)}, once:")
    say(f"  bedside-agent init --claim '{ticket.text}'")


def claim_ticket(state: State, answer: ClaimAnswer, host: str | None = None) -> ClaimTicket:
    """The claim with where to bring it and whom to trust there."""
    name = host or state.place.names[0]
    if ":" in name:
        name = f"[{name}]"
    est_url = f"https://{name}:{state.place.ports.est}"
    broker = f"{name}:{state.place.ports.hubs}"
    ca_sha256 = fingerprint(state.certificates.root())
    fields = {"est": est_url, "broker": broker, "hub": answer.hub_id, "claim": answer.claim, "ca": ca_sha256}
    return ClaimTicket(
        hub_id=answer.hub_id,
        claim=answer.claim,
        expires_at_ms=answer.expires_at_ms,
        est_url=est_url,
        broker=broker,
        ca_sha256=ca_sha256,
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
