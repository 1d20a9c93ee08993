"""`bedside-agent wifi`: the home's Wi-Fi, given to a hub beforehand, and the hub's own Wi-Fi."""

import asyncio
import getpass
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bedside_agent import settings
from bedside_agent.errors import AgentError
from bedside_agent.homepage.address import HTTP_PORT, url
from bedside_agent.service import STATE
from bedside_agent.terminal import Json, State, Verbose, escaped, print_json, show
from bedside_agent.wifi.choosing import NotChosenError, checked
from bedside_agent.wifi.label import label_of
from bedside_agent.wifi.network_manager import network_manager
from bedside_agent.wifi.profiles import HOTSPOT_ADDRESS
from bedside_agent.wifi.setting_up import Choice, Network

app = typer.Typer(help="Wi-Fi: the home's, and the hub's own.", no_args_is_help=True)


@app.callback()
def wifi() -> None:
    """Wi-Fi: the home's, and the hub's own."""


@app.command("list")
def list_networks(as_json: Json = False, verbose: Verbose = False) -> None:
    """Which Wi-Fi networks are heard here, and which are saved.

    bedside-agent wifi list
    """
    with Console(stderr=True).status("listening"):
        heard, saved = asyncio.run(_heard_and_saved())
    if as_json:
        found = [{"ssid": one.ssid, "strength": one.strength, "is_protected": one.is_protected} for one in heard]
        print_json({"heard": found, "saved": saved})
        return
    table = Table("network", "strength", "password", "saved")
    for one in heard:
        marks = ("yes" if one.is_protected else "none", "yes" if one.ssid in saved else "")
        table.add_row(escaped(one.ssid), f"{one.strength} %", *marks)
    for name in saved:
        if name not in {one.ssid for one in heard}:
            table.add_row(escaped(name), "not heard", "", "yes")
    Console().print(table)


@app.command()
def add(
    ssid: Annotated[str, typer.Argument(help="The network's name.")],
    hidden: Annotated[bool, typer.Option("--hidden", help="It does not tell its name.")] = False,
    no_password: Annotated[bool, typer.Option("--open", help="It has no password.")] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Save a Wi-Fi network, in range or not. Its password is asked for, or read from standard input; never an argument.

    bedside-agent wifi add Casa
    """
    password = "" if no_password else _password()
    try:
        choice = checked(ssid, password, [Network(ssid, 0, is_protected=not no_password)])
    except NotChosenError as error:
        raise AgentError(str(error), fix="bedside-agent wifi add NAME, or with --open where there is none") from error
    asyncio.run(_add(Choice(choice.ssid, choice.password, is_hidden=hidden)))
    show({"ssid": ssid, "saved": True}, as_json, f"{ssid} is saved: the hub joins it wherever it hears it.")


@app.command()
def forget(
    ssid: Annotated[str, typer.Argument(help="The network's name, as `wifi list` shows it.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Forget a saved Wi-Fi network and its password. A hub without any opens its own again after its next start.

    bedside-agent wifi forget Casa
    """
    if not asyncio.run(_forget(ssid)):
        raise AgentError(f"no Wi-Fi network is saved under the name {ssid}", fix="bedside-agent wifi list")
    show({"ssid": ssid, "forgotten": True}, as_json, f"{ssid} is forgotten.")


@app.command("show")
def show_own(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """The hub's own Wi-Fi, which it opens where it has no network: name, password, and the page's address.

    bedside-agent wifi show
    """
    known = settings.load(state)
    label = label_of(state, known.hub_id)
    page = url(HOTSPOT_ADDRESS, HTTP_PORT)
    if not as_json:
        # A QR code is read on a screen; the rest of the agent does without the library.
        import segno

        segno.make(label.qr_text(), error="m").terminal(out=sys.stdout, compact=True)
    opens = f"It opens after {known.hotspot_minutes} minutes without a network, on a hub that was never given one."
    said = opens if known.hotspot_minutes else "It never opens: hotspot_minutes is 0."
    show(
        {"ssid": label.ssid, "password": label.password, "page": page},
        as_json,
        f"{label.ssid}, password {label.password}, then {page}. {said}",
    )


def _password() -> str:
    """From a terminal without an echo, else the first line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass("Password of the Wi-Fi: ")
    return sys.stdin.readline().rstrip("\n")


async def _heard_and_saved() -> tuple[tuple[Network, ...], list[str]]:
    async with network_manager() as manager:
        return await manager.networks(), await manager.saved()


async def _add(choice: Choice) -> None:
    async with network_manager() as manager:
        await manager.add(choice)


async def _forget(ssid: str) -> bool:
    async with network_manager() as manager:
        return await manager.forget(ssid)
