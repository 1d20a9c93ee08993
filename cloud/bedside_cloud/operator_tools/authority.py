"""`bedside-cloud authority`: the issuing authority that signs hubs' certificates, and its successor."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from bedside_cloud.contracts.message import Message
from bedside_cloud.engines.certificates.authority import Certificate, fingerprint, serial_hex
from bedside_cloud.engines.certificates.token import TokenUri
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State, locked

authority = typer.Typer(help="Who signs the hubs' certificates.", no_args_is_help=True)


class AuthorityAnswer(Message):
    """One certificate of the chain. `part` is root, issuing, or earlier."""

    part: str
    serial: str
    ends_at_ms: int
    sha256: str


class AuthorityList(Message):
    """The root first, then the present issuing authority, then those before it."""

    authorities: tuple[AuthorityAnswer, ...]


@authority.command("show")
def show_command(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """The root and the issuing authorities, and until when they are good.

    Example: bedside-cloud authority show
    """
    opened = State.open(state.absolute())
    files, passphrase = opened.certificates, opened.issuing_passphrase.reveal()
    found = [_answer("root", files.root()), _answer("issuing", files.issuing(passphrase).certificate)]
    found += [_answer("earlier", one.certificate) for one in files.earlier(passphrase)]
    if json:
        as_json(AuthorityList(authorities=tuple(found)))
        return
    rows = [(one.part, one.serial[:16], utc(one.ends_at_ms), one.sha256[:16]) for one in found]
    table(("part", "serial", "good until", "SHA-256"), rows, "")


@authority.command("rotate")
def rotate_command(
    token: Annotated[str | None, typer.Option("--token", help="Make its key there: a PKCS #11 URI.")] = None,
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Make another issuing authority. The cloud must be stopped; what the present one issued stays good.

    Example: bedside-cloud authority rotate
    """
    uri = None if token is None else TokenUri.from_text(token)
    directory = state.absolute()
    opened = State.open(directory)
    with locked(directory, "Making another issuing authority"):
        try:
            made = opened.certificates.rotate(
                opened.root_passphrase.reveal(), opened.issuing_passphrase.reveal(), datetime.now(UTC), uri
            )
        except FileNotFoundError as cause:
            raise OperatorError(
                "The root's key is not here.",
                "It is kept offline, as it should be.",
                "Put root.key back into certificates/ for this command, and away again.",
            ) from cause
    if json:
        as_json(_answer("issuing", made))
        return
    say(f"The issuing authority is {serial_hex(made)[:16]} from the next start on.")
    say("Hubs get certificates from it when theirs are due. Move root.key away again.")


def _answer(part: str, certificate: Certificate) -> AuthorityAnswer:
    ends_at_ms = round(certificate.not_valid_after_utc.timestamp() * 1000)
    return AuthorityAnswer(
        part=part, serial=serial_hex(certificate), ends_at_ms=ends_at_ms, sha256=fingerprint(certificate)
    )
