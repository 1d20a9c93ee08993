"""Who has something done, for the record of deeds: it travels beside a question, in a header of the bus.

Only the map's own users may ask at all; the gateway names the person who is logged in. Without a name it is whoever
holds the state directory.
"""

from contextvars import ContextVar

HEADER = "Bedside-Actor"
OPERATOR = "operator"

_present: ContextVar[str] = ContextVar("actor", default=OPERATOR)


def present_actor() -> str:
    """Who asked what is being answered now."""
    return _present.get()


def name_actor(name: str | None) -> None:
    """For the answer that this task gives."""
    _present.set(name or OPERATOR)
