"""`bedside-cloud audit`: who read whose data, and whether the record of it is whole."""

from typing import Annotated

import psycopg
import typer

from bedside_cloud.contracts.message import Message
from bedside_cloud.engines.audit import BrokenChainError, Head, checked, entries
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State

audit = typer.Typer(help="The record of who read whose data.", no_args_is_help=True)


class ChainAnswer(Message):
    """`head` is to be noted down elsewhere; it is what `--noted` takes."""

    entries: int
    head: str


@audit.command("verify")
def verify_command(
    state: StateOption = DEFAULT_STATE,
    noted: Annotated[str, typer.Option("--noted", help="A head that was noted earlier: it must still be there.")] = "",
    json: JsonOption = False,
) -> None:
    """Check that no entry was changed, added or taken out. The cloud must be running.

    Example: bedside-cloud audit verify --noted 1042:9f86d081884c7d65…
    """
    opened = State.open(state.absolute())
    try:
        head = checked(entries(opened.postgres.dsn()), _parsed(noted) if noted else None)
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
    answer = ChainAnswer(entries=head.entry_no, head=f"{head.entry_no}:{head.hash.hex()}")
    if json:
        as_json(answer)
        return
    say(f"{answer.entries} entries, each follows from the one before.")
    say(f"Note this down elsewhere, to see later that none was taken off the end: {answer.head}")


def _parsed(noted: str) -> Head:
    number, _, text = noted.partition(":")
    try:
        return Head(int(number), bytes.fromhex(text))
    except ValueError as wrong:
        raise OperatorError(
            "The noted head cannot be read.", "It is a number, a colon and 64 hexadecimal signs.", ""
        ) from wrong
