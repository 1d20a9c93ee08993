"""`bedside-cloud login`, `logout` and `whoami`: fleet commands from another machine than the cloud's."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from bedside_cloud.contracts.fleet_api import PLACE, PlaceAnswer
from bedside_cloud.contracts.identity import LoginAnswer, LoginRequest
from bedside_cloud.contracts.message import Empty, Message
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.options import JsonOption
from bedside_cloud.operator_tools.printing import as_json, say, utc
from bedside_cloud.operator_tools.session import (
    LoginOverError,
    Session,
    checked_server,
    fetched,
    forget_session,
    keep_session,
    kept_session,
)


class WhoAnswer(Message):
    """`expires_at_ms` may be over."""

    server: str
    name: str
    expires_at_ms: int


def login(
    server: Annotated[str, typer.Option("--server", help="The gateway, as https://HOST:PORT.")],
    name: Annotated[str, typer.Option("--name", help="Your log-in name.")],
    ca: Annotated[
        Path | None, typer.Option("--ca", help="The certificate that signed the server's, if no system knows it.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
    ] = False,
) -> None:
    """Log in at a gateway for a shift: `fleet` commands without a state folder go there.

    Example: bedside-cloud login --server https://bedside.example.org --name tech.one
    """
    origin = checked_server(server)
    password = sys.stdin.readline().rstrip("\n") if password_stdin else typer.prompt("Password", hide_input=True)
    nobody = Session(origin, name, "", 0, str(ca.absolute()) if ca else "")
    answer = fetched(nobody, "POST", "/login", LoginRequest(name=name, password=password), LoginAnswer)
    session = Session(origin, name, answer.access_token, time.time() + answer.expires_in_seconds, nobody.ca_file)
    fetched(session, "GET", PLACE, None, PlaceAnswer)
    keep_session(session)
    say(f"{name} is logged in at {origin} until {utc(round(session.expires_at * 1000))}.")


def logout() -> None:
    """End the log-in at the gateway, and forget it on this computer.

    Example: bedside-cloud logout
    """
    try:
        session = kept_session()
    finally:
        forgotten = forget_session()
    if session is not None and session.expires_at > time.time():
        try:
            fetched(session, "POST", "/logout", None, Empty)
        except LoginOverError:
            pass
        except OperatorError as error:
            raise OperatorError(
                "The log-in is forgotten here, and still good at the server.",
                f"{error.happened} {error.why}".rstrip(),
                f"Have it ended on the cloud's own machine: bedside-cloud person log-out {session.name}",
            ) from error
    say("Logged out." if forgotten else "Nobody was logged in.")


def whoami(json: JsonOption = False) -> None:
    """Who is logged in, where, and until when.

    Example: bedside-cloud whoami
    """
    session = kept_session()
    if session is None:
        raise OperatorError("Nobody is logged in.", "", "Log in: bedside-cloud login --server https://HOST --name NAME")
    ends_ms = round(session.expires_at * 1000)
    if json:
        as_json(WhoAnswer(server=session.server, name=session.name, expires_at_ms=ends_ms))
        return
    over = "" if session.expires_at > time.time() else ", which is over"
    say(f"{session.name} at {session.server}, until {utc(ends_ms)}{over}")
