"""A technician's log-in at a gateway elsewhere: kept for a shift, in a file that only its owner reads."""

import ipaddress
import json
import os
import ssl
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bedside_cloud.contracts.fleet_api import API, NO_ADDRESS
from bedside_cloud.contracts.message import Message
from bedside_cloud.errors import OperatorError

Answered = TypeVar("Answered", bound=Message)

FOLDER_VARIABLE = "XDG_CONFIG_HOME"
PATIENCE_SECONDS = 20.0
AGAIN = "Log in again: bedside-cloud login --server {server} --name {name}"


class LoginOverError(OperatorError):
    """The server takes the token no more: it was ended, or is too old."""


@dataclass(frozen=True, slots=True)
class Session:
    """`server` is an origin; `ca_file` verifies it, empty: the system's trust; `expires_at` in seconds since 1970."""

    server: str
    name: str
    token: str
    expires_at: float
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"Session({self.server}, {self.name})"


def session_file() -> Path:
    """Where it is kept."""
    base = os.environ.get(FOLDER_VARIABLE) or Path.home() / ".config"
    return Path(base) / "bedside" / "session.json"


def kept_session() -> Session | None:
    """The session, whether or not it is still good; None when nobody is logged in."""
    try:
        return Session(**json.loads(session_file().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as cause:
        raise OperatorError(
            f"{session_file()} cannot be read.", "It is damaged.", "Log in again: bedside-cloud login"
        ) from cause


def keep_session(session: Session) -> None:
    """Replace it whole; nobody else may read it."""
    file = session_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(asdict(session), out)
    beside.replace(file)


def forget_session() -> bool:
    """False when there was none."""
    try:
        session_file().unlink()
    except FileNotFoundError:
        return False
    return True


def checked_server(text: str) -> str:
    """An origin; without TLS on this machine alone. OperatorError otherwise."""
    parts = urlsplit(text if "//" in text else f"https://{text}")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.scheme not in ("http", "https"):
        raise OperatorError(f"{text!r} is no server.", "", "Give it as https://HOST or https://HOST:PORT.")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise OperatorError(
            "A password is not sent over the network without TLS.",
            f"{text} begins with http.",
            "Give an https address; see docs/operations.md for a TLS proxy before the gateway.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def fetched(session: Session, method: str, path: str, body: Message | None, answer: type[Answered]) -> Answered:
    """What the gateway answers; OperatorError in its own words when it refuses, or when it cannot be reached."""
    if session.token and session.expires_at <= time.time():
        raise OperatorError("The log-in has ended.", "It is good for a shift.", _again(session))
    # Loaded only where it is needed: most commands are given on the cloud's own machine.
    import httpx

    try:
        with httpx.Client(verify=_trust(session), timeout=PATIENCE_SECONDS, trust_env=False) as client:
            reply = client.request(
                method,
                f"{session.server}{API}{path}",
                content=None if body is None else body.model_dump_json(),
                headers={
                    "content-type": "application/json",
                    **({"authorization": f"Bearer {session.token}"} if session.token else {}),
                },
            )
    except httpx.HTTPError as cause:
        raise OperatorError(
            f"{session.server} cannot be reached.",
            f"{cause}." if str(cause) else "",
            "Check the address and the network; --ca names the certificate that signed the server's.",
        ) from cause
    if reply.status_code == httpx.codes.UNAUTHORIZED and session.token:
        raise LoginOverError("The log-in does not hold any more.", "", _again(session))
    if reply.status_code == httpx.codes.NOT_FOUND and _reason(reply.text, 404) == NO_ADDRESS:
        raise OperatorError(
            "That can be done on the cloud's own machine alone.",
            f"At {session.server} technicians see no patients.",
            "Run it there, with --state.",
        )
    if reply.status_code >= httpx.codes.BAD_REQUEST:
        raise OperatorError("It was refused.", _reason(reply.text, reply.status_code), "")
    return answer.model_validate_json(reply.content)


def _trust(session: Session) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=session.ca_file or None)
    except OSError as cause:
        raise OperatorError(f"{session.ca_file} cannot be read.", f"{cause.strerror}.", _again(session)) from cause


def _reason(text: str, code: int) -> str:
    try:
        detail: Any = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"The server answered {code}."
    if code == 403:
        return "Your log-in is not a technician's."
    return detail if isinstance(detail, str) else f"{detail[0]['loc'][-1]}: {detail[0]['msg']}"


def _again(session: Session) -> str:
    return AGAIN.format(server=session.server, name=session.name)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
