"""Commands to a hub and its replies. A command is a row in the cloud that is sent until the hub has answered."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from bedside_profiles.bounds import Name, Shape
from bedside_profiles.wire.events import EventField
from bedside_profiles.wire.kinds import HubId, Schema, UtcMs, Uuid

MOST_CONTENT_BYTES = 192 * 1024
"""Of one answer: with all around it, it stays below what a message may have."""


class Outcome(StrEnum):
    """`applied` and `refused` are final; a hub answers the same command the same way, however often it comes."""

    APPLIED = "applied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Command:
    """`kind` is for example `restart`; a command that arrives after `expires_at_ms` is refused."""

    schema: Schema
    command_id: Uuid
    hub_id: HubId
    kind: Name
    expires_at_ms: UtcMs
    fields: tuple[EventField, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The hub's answer to a command (`about` is its id) or a care plan (`about` is the plan's id). `content` is what a
    command asked for, an archive or a text, gzipped."""

    schema: Schema
    hub_id: HubId
    about: Uuid
    outcome: Outcome
    version: int | None = None
    reason: str = ""
    content: Annotated[bytes, Shape(MOST_CONTENT_BYTES)] = b""
