"""`bedside-agent page`: the code that opens the patient's page to the household's telephones."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bedside_agent import health, settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.errors import AgentError
from bedside_agent.homepage.address import NAME
from bedside_agent.homepage.address import url as address_of
from bedside_agent.homepage.pairing import keep_code, kept_code
from bedside_agent.service import STATE
from bedside_agent.settings import page_address
from bedside_agent.terminal import Json, State, Verbose, show
from bedside_profiles.pairing_code import new_pairing_code

app = typer.Typer(help="The patient's page.", no_args_is_help=True)


@app.callback()
def page() -> None:
    """The patient's page."""


@app.command("pair")
def pair(
    new: Annotated[bool, typer.Option("--new", help="Another code: every telephone must be paired anew.")] = False,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show the code that a telephone scans once to see the readings. Without it the page tells no value.

    bedside-agent page pair
    """
    address = page_address(settings.load(state).homepage)
    if address is None:
        raise AgentError("this hub shows no page", fix='write homepage = "0.0.0.0:8080" into hub.toml, and restart')
    code = None if new else kept_code(state)
    if code is None:
        code = new_pairing_code()
        keep_code(state, code)
    url = page_url(_present_address(state) or address_of(NAME, address[1]), code)
    if not as_json:
        # A QR code is read on a screen; the rest of the agent does without the library.
        import segno

        segno.make(url, error="m").terminal(out=sys.stdout, compact=True)
    show({"url": url, "code": code}, as_json, f"Scan it with a telephone in the home's network, or open {url}")


def page_url(address: str, code: str) -> str:
    """What a telephone opens once."""
    return f"{address}?pair={code}"


def _present_address(state: Path) -> str | None:
    """The page's address as the running agent has it: another hub of the home may have the first name."""
    try:
        found = health.ask(state, memory_for(state)).get("page")
    except AgentError:
        return None
    return found if isinstance(found, str) else None
