"""What commands print: a line or a table for people, JSON for programs. Never colour alone."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from bedside_cloud.contracts.message import Message

out = Console()


def say(text: str) -> None:
    """One sentence on standard output, never wrapped."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def as_json(message: Message) -> None:
    """The message as it came over the bus."""
    say(message.model_dump_json(indent=2))


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]], nothing: str) -> None:
    """Rows under their names, or the sentence for none."""
    drawn = Table(box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    if drawn.row_count:
        out.print(drawn)
    else:
        say(nothing)


def utc(milliseconds: int | None) -> str:
    """A moment for people, in UTC."""
    return "–" if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def to_utc(moment: datetime) -> datetime:
    """A moment as somebody typed it; without a zone it is in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
