"""What a tech has a hub do from elsewhere, asked of `registry`: signed there, sent until answered, in the audit log."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from bedside_cloud.contracts.message import Message

COMMAND_GIVE = "registry.commands.give"
"""`GiveRequest` → `Given`; refused with 404 for a hub that nobody knows."""

COMMANDS = "registry.commands.list"
"""`CommandsRequest` → `CommandList`, the newest first."""

COMMAND_CONTENT = "registry.commands.content"
"""`ContentRequest` → `Content`; refused with 404 where there is none."""

CONTENT_DAYS = 7
"""For so long an archive or a log that a hub sent is kept."""


class CommandKind(StrEnum):
    """What hubs can do. An older hub refuses what it does not know."""

    RESTART = "restart"
    REPORT_STATUS = "report_status"
    ROTATE_KEY = "rotate_key"
    COLLECT_BUNDLE = "collect_bundle"
    PULL_LOGS = "pull_logs"


class CommandState(StrEnum):
    """`waiting` for the hub; `expired` without an answer, whether or not the hub has followed it."""

    WAITING = "waiting"
    APPLIED = "applied"
    REFUSED = "refused"
    EXPIRED = "expired"


class GiveRequest(Message):
    """The hub follows the command within `valid_seconds`, or not at all."""

    hub_id: str
    kind: CommandKind
    valid_seconds: Annotated[int, Field(ge=0, le=2**31)]


class Given(Message):
    """`is_new` is False where the same was open already: that one is waited for."""

    command_id: str
    is_new: bool


class CommandsRequest(Message):
    """Of one hub, or of all."""

    hub_id: str | None = None
    most: Annotated[int, Field(ge=1, le=2**31)] = 50


class GivenCommand(Message):
    """`content_bytes` is how much the hub sent back."""

    command_id: str
    hub_id: str
    kind: str
    state: CommandState
    given_at_ms: int
    expires_at_ms: int
    answered_at_ms: int | None
    reason: str
    content_bytes: int


class CommandList(Message):
    """In order of time, the newest first."""

    commands: tuple[GivenCommand, ...]


class ContentRequest(Message):
    """What the hub sent back for this command."""

    command_id: str


class Content(Message):
    """`content_base64` is a gzipped tar for a bundle, a gzipped text for logs."""

    kind: str
    content_base64: str
