"""Who has something done, for the record of deeds: it travels beside a question, in a header of the bus.

Only the map's own users may ask at all; the gateway names the person who is logged in. Without a name it is whoever
holds the state directory. A person is told from that one, and from a hub, by the word before the name.
"""

from contextvars import ContextVar
from urllib.parse import quote, unquote

HEADER = "Bedside-Actor"
OPERATOR = "operator"
PERSON = "person:"

_present: ContextVar[str] = ContextVar("actor", default=OPERATOR)


def present_actor() -> str:
    """Who asked what is being answered now."""
    return _present.get()


def header_of(person_name: str) -> dict[str, str]:
    """What a question carries for that person."""
    return {HEADER: quote(person_name)}


def name_actor(header: str | None) -> None:
    """For the answer that this task gives. The record joins its columns with `|`, so no name holds one."""
    _present.set(OPERATOR if header is None else PERSON + unquote(header).replace("|", "/"))
