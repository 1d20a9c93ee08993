"""`bedside-cloud fleet hub`: which hubs there are, what they may do, and how they go out of service."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from bedside_cloud.contracts.identity_administration import (
    HUB_ACCESS,
    HUB_ACCESS_SET,
    INCIDENTS,
    Access,
    HubAccessAnswer,
    HubAccessEntry,
    HubAccessList,
    HubAccessRequest,
    Incident,
    IncidentList,
)
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.contracts.registry import HUBS, Hub, HubList
from bedside_cloud.contracts.registry_administration import (
    DEVICES,
    HUB_RENAME,
    DeviceEntry,
    DeviceRoll,
    Done,
    RenameRequest,
)
from bedside_cloud.database.times import to_ms
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.incidents import INCIDENT_WORDS
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, to_utc, utc
from bedside_cloud.operator_tools.retiring import TakenOut, access_of, check, known_hub, may_be_wiped, take_out
from bedside_cloud.settings import DEFAULT_STATE

hub = typer.Typer(help="Hubs.", no_args_is_help=True)

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]
AtOption = Annotated[
    datetime | None, typer.Option("--at", help="From when on, in UTC and not in the future; without it: from now on.")
]


class HubRow(Hub):
    """A hub with how it is let in: None for one that is not enrolled."""

    access: Access | None = None
    certificate_ends_ms: int | None = None
    oversized: int = 0


class HubRows(Message):
    """In order of id."""

    hubs: tuple[HubRow, ...]


@hub.command("list")
def hub_list(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every hub: connected or not, allowed or not.

    Example: bedside-cloud fleet hub list
    """
    access = {entry.hub_id: entry for entry in ask(state, HUB_ACCESS, Empty(), HubAccessList).hubs}
    found = [_row(one, access.get(one.hub_id)) for one in ask(state, HUBS, Empty(), HubList).hubs]
    if json:
        as_json(HubRows(hubs=tuple(found)))
        return
    rows = [
        (
            one.hub_id,
            one.label or "–",
            "online" if one.online else "offline",
            one.access.value if one.access else "not enrolled",
            _use(one),
            utc(one.last_seen_ms),
            "–" if one.plan_version is None else str(one.plan_version),
            utc(one.certificate_ends_ms),
            str(one.oversized) if one.access else "–",
        )
        for one in found
    ]
    columns = ("hub", "label", "link", "access", "use", "last seen", "plan", "certificate ends", "too big")
    table(columns, rows, "No hub yet. Make a claim: bedside-cloud fleet claim new --hub-id ID")


def _row(known: Hub, entry: HubAccessEntry | None) -> HubRow:
    row = HubRow.model_validate(known.model_dump())
    if entry is None:
        return row
    changes = {"access": entry.access, "certificate_ends_ms": entry.certificate_ends_ms, "oversized": entry.oversized}
    return row.model_copy(update=changes)


def _use(one: Hub) -> str:
    return f"replaced by {one.replaced_by}" if one.replaced_by else one.state


class HubSheet(Message):
    """Everything that the cloud knows of one hub. `access` is None for one that is not enrolled; `may_be_wiped` says
    that all it held is in the cloud."""

    hub: Hub
    access: HubAccessEntry | None
    devices: tuple[DeviceEntry, ...]
    incidents: tuple[Incident, ...]
    may_be_wiped: bool = False


@hub.command("show")
def hub_show(hub_id: str, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """One hub: its link, its certificate, its devices, and what somebody must look at.

    Example: bedside-cloud fleet hub show hub-7
    """
    known, access = known_hub(state, hub_id), access_of(state, hub_id)
    wipeable, verdict = may_be_wiped(known, access.access) if access else (False, "")
    sheet = HubSheet(
        hub=known,
        access=access,
        devices=tuple([one for one in ask(state, DEVICES, Empty(), DeviceRoll).devices if one.hub_id == hub_id]),
        incidents=tuple(
            [one for one in ask(state, INCIDENTS, Empty(), IncidentList).incidents if one.hub_id == hub_id]
        ),
        may_be_wiped=wipeable,
    )
    if json:
        as_json(sheet)
        return
    facts = [
        ("label", known.label or "–"),
        ("link", f"{'online' if known.online else 'offline'}, last seen {utc(known.last_seen_ms)}"),
        ("access", f"{access.access.value}, since {utc(_since(access))}" if access else "not enrolled"),
        ("certificate ends", utc(access.certificate_ends_ms) if access else "–"),
        ("computer", access.hub_serial or "–" if access else "–"),
        ("use", _use(known)),
        ("software", known.agent_version or "–"),
        ("plan", "–" if known.plan_version is None else str(known.plan_version)),
        ("waits on it", "–" if known.waiting is None else f"{known.waiting} items at {utc(known.waiting_at_ms)}"),
    ]
    if known.retired_at_ms is not None:
        facts.append(("out of service", f"since {utc(known.retired_at_ms)}"))
    table((hub_id, ""), facts, "")
    if access is not None and access.access not in (Access.ACTIVE, Access.SUSPENDED):
        say(f"\n{verdict}")
    say("")
    device_rows = [(one.device_id, one.profile or "–", one.patient_id or "nobody's") for one in sheet.devices]
    table(("device", "profile", "patient"), device_rows, "It has shown no device yet.")
    for one in sheet.incidents:
        say(f"\nIncident {one.incident_id}: {'. '.join(INCIDENT_WORDS[one.kind])}")


def _since(access: HubAccessEntry) -> int:
    """Of an active hub it is told when it enrolled: its certificates change by themselves."""
    since_ms = access.enrolled_at_ms if access.access is Access.ACTIVE else access.since_ms
    return access.enrolled_at_ms if since_ms is None else since_ms


@hub.command("rename")
def hub_rename(
    hub_id: str,
    label: Annotated[str, typer.Argument(help="What people call it; empty takes the label away. No patient's name.")],
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Give a hub a label, for people. Its id stays: its certificate names it.

    Example: bedside-cloud fleet hub rename hub-7 "spare, shelf 3"
    """
    done = ask(state, HUB_RENAME, RenameRequest(hub_id=hub_id, label=label), Done)
    if json:
        as_json(done)
    elif not done.changed:
        say(f"{hub_id} is called so already.")
    else:
        say(f"{hub_id} is called {label.strip()} from now on." if label.strip() else f"{hub_id} has no label any more.")


@hub.command("suspend")
def hub_suspend(hub_id: str, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Keep a hub out until `resume`; it goes on storing.

    Example: bedside-cloud fleet hub suspend hub-7
    """
    _set_access(state, hub_id, Access.SUSPENDED, json)


@hub.command("resume")
def hub_resume(hub_id: str, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Let a suspended hub in again.

    Example: bedside-cloud fleet hub resume hub-7
    """
    _set_access(state, hub_id, Access.ACTIVE, json)


@hub.command("revoke")
def hub_revoke(
    hub_id: str,
    confirm: Annotated[str, typer.Option("--confirm", prompt="The hub's id again", help="The hub's id again.")],
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """End a hub's certificates for good: it comes back only with a new claim.

    Example: bedside-cloud fleet hub revoke hub-7 --confirm hub-7
    """
    if confirm != hub_id:
        raise typer.BadParameter("The two ids differ; nothing was done.")
    _set_access(state, hub_id, Access.REVOKED, json)


@hub.command("retire")
def hub_retire(
    hub_id: str,
    at: AtOption = None,
    yes: YesOption = False,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Take a hub out of service: it serves nobody any more, and may deliver what it still holds.

    Example: bedside-cloud fleet hub retire hub-7
    """
    before = check(state, hub_id, None)
    if before.access is not Access.RETIRED:
        let_in = (
            " It is suspended, and will be let in again to deliver what it holds."
            if before.access is Access.SUSPENDED
            else ""
        )
        _ask_first(yes, f"{hub_id} will serve nobody, and comes back only with a new claim.{let_in} Retire it?")
    _tell(state, take_out(state, hub_id, None, _ms(at), before), json)


@hub.command("replace")
def hub_replace(
    old: Annotated[str, typer.Argument(help="The hub that goes.")],
    new: Annotated[str, typer.Argument(help="The hub that takes its place. It has enrolled.")],
    at: AtOption = None,
    yes: YesOption = False,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Let a hub take another one's place: its patient and devices, from one moment on. The old one is retired.

    Run it again if it broke off: what was done stays, what was not is done.

    Example: bedside-cloud fleet hub replace hub-7 hub-8
    """
    before = check(state, old, new)
    if before.access is not Access.RETIRED:
        let_in = (
            f" {old} is suspended, and will be let in to deliver what it holds."
            if before.access is Access.SUSPENDED
            else ""
        )
        _ask_first(yes, f"{new} takes over the patient of {old}, which is retired.{let_in} Replace it?")
    _tell(state, take_out(state, old, new, _ms(at), before), json)


@hub.command("wipe")
def hub_wipe(
    hub_id: str,
    wiped: Annotated[
        bool, typer.Option("--wiped", help="Take it from me: it is wiped or destroyed, and did not say so itself.")
    ] = False,
    lose: Annotated[bool, typer.Option("--lose", help="Also when the cloud does not have everything of it.")] = False,
    yes: YesOption = False,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Say that a retired hub is wiped, or what is missing for that. A hub that is wiped says so by itself.

    Example: bedside-cloud fleet hub wipe hub-7 --wiped
    """
    known, entry = known_hub(state, hub_id), access_of(state, hub_id)
    if entry is None or entry.access not in (Access.RETIRED, Access.REVOKED, Access.WIPED):
        raise OperatorError(
            f"{hub_id} is {entry.access.value if entry else 'not enrolled'}.",
            "Only a hub that is out of service is wiped.",
            f"Let it deliver what it holds first: bedside-cloud fleet hub retire {hub_id}",
        )
    wipeable, verdict = may_be_wiped(known, entry.access)
    if entry.access is not Access.WIPED:
        if not wiped:
            raise OperatorError(
                f"{hub_id} has not said that it is wiped.",
                verdict,
                f"On the hub: bedside-agent wipe --confirm {hub_id}. If that is done, or it is destroyed: add --wiped.",
            )
        if not wipeable and not lose:
            raise OperatorError(
                f"Not everything that {hub_id} held is known to be in the cloud.",
                verdict,
                "If that is lost, or does not matter: add --lose.",
            )
        _ask_first(yes, f"The certificates of {hub_id} will be revoked; it comes back only with a new claim. Go on?")
    _set_access(state, hub_id, Access.WIPED, json)


def _ask_first(yes: bool, question: str) -> None:
    """Ends the command with exit code 1 when the answer is no."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(to_utc(at))


def _set_access(state: Path, hub_id: str, access: Access, json: bool) -> None:
    answer = ask(state, HUB_ACCESS_SET, HubAccessRequest(hub_id=hub_id, access=access), HubAccessAnswer)
    if json:
        as_json(answer)
        return
    say(f"{answer.hub.hub_id} is {answer.hub.access.value}.")
    _tell_unconfirmed(answer.everywhere)


def _tell(state: Path, done: TakenOut, json: bool) -> None:
    if json:
        as_json(done)
        return
    retired, old = done.retired, done.retired.hub_id
    again = "" if retired.changed else " It was so already."
    say(f"{old} is {done.hub.access.value}, and serves nobody since {utc(retired.at_ms)}.{again}")
    if retired.new_hub_id is not None:
        devices = ", ".join(retired.device_ids) or "none"
        say(f"{retired.new_hub_id} serves patient {retired.patient_id} since then. The patient's devices: {devices}.")
        say(f"On {retired.new_hub_id}: bedside-agent device add, for each that it is to read.")
    elif retired.patient_id is not None:
        say(f"Patient {retired.patient_id} has no hub now: bedside-cloud patient hub {retired.patient_id} HUB.")
    if done.hub.access is Access.RETIRED:
        say(may_be_wiped(known_hub(state, old), done.hub.access)[1])
        say(f"What it still holds goes to whom it was measured for. Follow it: bedside-cloud fleet hub show {old}")
    elif done.hub.access is Access.REVOKED:
        say(f"{old} stays revoked: what it may still hold does not come.")
    _tell_unconfirmed(done.everywhere)


def _tell_unconfirmed(everywhere: bool) -> None:
    if not everywhere:
        say(
            "Not every replica of identity has confirmed this: it may decide by the old state until it reaches the "
            "database again. Run `bedside-cloud fleet hub list`, and this command once more if it stays so."
        )
