"""`bedside-cloud audit`: who read whose data, who changed whom is let in, and whether the record of it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from bedside_cloud.contracts.message import Message
from bedside_cloud.engines.audit import BrokenChainError, Head, checked, deeds, entries
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State

audit = typer.Typer(help="The record of who read whose data, and of who is let in.", no_args_is_help=True)


class ChainAnswer(Message):
    """`head` is to be noted down elsewhere; it is what `--noted` takes. `deeds_head` is `--noted-deeds`'."""

    entries: int
    head: str
    deeds: int
    deeds_head: str


class DeedAnswer(Message):
    """One deed on a certificate, a hub or a claim."""

    entry_no: int
    at_ms: int
    actor: str
    deed: str
    subject: str
    detail: str


class DeedList(Message):
    """In their order."""

    deeds: tuple[DeedAnswer, ...]


DeedsNotedOption = Annotated[
    str, typer.Option("--noted-deeds", help="The same for the record of certificates and hubs.")
]


@audit.command("verify")
def verify_command(
    state: StateOption = DEFAULT_STATE,
    noted: Annotated[str, typer.Option("--noted", help="A head that was noted earlier: it must still be there.")] = "",
    noted_deeds: DeedsNotedOption = "",
    json: JsonOption = False,
) -> None:
    """Check that no entry was changed, added or taken out. The cloud must be running.

    Example: bedside-cloud audit verify --noted 1042:9f86d081884c7d65…
    """
    dsn = State.open(state.absolute()).postgres.dsn()
    with _explained(state):
        head = checked(entries(dsn), _parsed(noted) if noted else None)
        deeds_head = checked(deeds(dsn), _parsed(noted_deeds) if noted_deeds else None)
    answer = ChainAnswer(
        entries=head.entry_no, head=_told(head), deeds=deeds_head.entry_no, deeds_head=_told(deeds_head)
    )
    if json:
        as_json(answer)
        return
    say(f"{answer.entries} entries of who read what, and {answer.deeds} of who is let in: each follows from the last.")
    say("Note these down elsewhere, to see later that none was taken off the end:")
    say(f"  --noted {answer.head} --noted-deeds {answer.deeds_head}")


@audit.command("deeds")
def deeds_command(
    subject: Annotated[str, typer.Option("--subject", help="Only what was done to this hub or claim.")] = "",
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Every certificate issued, renewed and revoked, every hub suspended or let in again, and by whom.

    Example: bedside-cloud audit deeds --subject hub-7
    """
    with _explained(state):
        found = [one for one in deeds(State.open(state.absolute()).postgres.dsn()) if subject in ("", one.subject)]
    if json:
        told = [
            DeedAnswer(
                entry_no=one.entry_no,
                at_ms=one.at_ms,
                actor=one.actor,
                deed=one.deed,
                subject=one.subject,
                detail=one.detail,
            )
            for one in found
        ]
        as_json(DeedList(deeds=tuple(told)))
        return
    rows = [(str(one.entry_no), utc(one.at_ms), one.actor, one.deed, one.subject, one.detail) for one in found]
    table(("no.", "when", "who", "did", "to", "detail"), rows, "Nothing was done yet.")


@contextmanager
def _explained(state: Path) -> Iterator[None]:
    try:
        yield
    except BrokenChainError as broken:
        raise OperatorError(
            f"The audit log is broken: {broken}.",
            "Somebody changed it behind the system's back, or an older backup was restored.",
            "Keep the database as it is, and compare it with the last backup whose log is whole.",
        ) from broken
    except psycopg.OperationalError as away:
        raise OperatorError(
            "The database does not answer.",
            "The cloud is not running, or it is starting.",
            f"Start it: bedside-cloud up --state {state}",
        ) from away


def _told(head: Head) -> str:
    return f"{head.entry_no}:{head.hash.hex()}"


def _parsed(noted: str) -> Head:
    number, _, text = noted.partition(":")
    try:
        return Head(int(number), bytes.fromhex(text))
    except ValueError as wrong:
        raise OperatorError(
            "The noted head cannot be read.", "It is a number, a colon and 64 hexadecimal signs.", ""
        ) from wrong
