"""The command `update`: fetch what it names, hand it to the system, say in the end what came of it.

Only root may install, and it believes nothing of what lies in the hub's folder (`systemd/update`). A version that has
been put in place has to reach the cloud before it counts, else the system goes back to the one before.
"""

import asyncio
import base64
import binascii
import logging
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from bedside_agent.errors import AgentError
from bedside_agent.radio.mending import System
from bedside_agent.updating.fetching import FetchError, fetch
from bedside_agent.whole_file import write_whole
from bedside_profiles.errors import MalformedError
from bedside_profiles.release import MOST_TEXT_BYTES, Release, read_release
from bedside_profiles.wire.command import Command

UPDATE = "update"
"""The command's kind, and the request to the system."""

WORKS = "works"
"""The word to the system that this version has reached the cloud."""

INBOX = "update"
SYSTEM_FOLDER = Path("/opt/bedside/update")
MOST_SIGNATURE_BYTES = 128
PAUSE_SECONDS = 30.0
"""Between two attempts to fetch. The command comes every few seconds."""

NO_INSTALLER = "this hub was not installed by systemd/install, so nothing here can put another version in place"
NOT_SIGNED = "the command names no signed release"

log = logging.getLogger(__name__)


class Updates:
    """`state` is the hub's folder, `system` takes requests, `system_folder` is where the system writes what it did.

    `context` is TLS to the enrolment server at `url`, made anew for each attempt: the clock may be set meanwhile.
    """

    def __init__(
        self,
        state: Path,
        url: str,
        context: Callable[[], ssl.SSLContext],
        system: System,
        system_folder: Path = SYSTEM_FOLDER,
        prefix: str = sys.prefix,
    ) -> None:
        self._inbox = state / INBOX
        self._url = url
        self._context = context
        self._system = system
        self._system_folder = system_folder
        self._prefix = os.path.realpath(prefix)
        self._work: asyncio.Task[None] | None = None
        self._failed: dict[str, str] = {}
        self._asked = ""
        self._says_works = True

    def follow(self, command: Command, is_late: bool) -> str | None:
        """Empty when it is done, else why not; None while it goes on. Call it again each time the command comes."""
        number = command.command_id
        result = self._result()
        if result is not None and result[0] == number:
            return result[1]
        if number in self._failed:
            return self._failed.pop(number)
        if self._asked == number or self._trying() == number or (self._work is not None and not self._work.done()):
            return None
        if is_late:
            return "expired"
        if not self._system_folder.is_dir():
            return NO_INSTALLER
        try:
            text, signature, release = _named(command)
        except (MalformedError, binascii.Error, UnicodeDecodeError, KeyError):
            return NOT_SIGNED
        self._work = asyncio.get_running_loop().create_task(self._bring(number, text, signature, release))
        return None

    def reached_the_cloud(self) -> None:
        """Tell the system once, if it waits for it. Cheap: called at every receipt."""
        if not self._says_works:
            return
        self._says_works = False
        if self._trying() is not None:
            try:
                self._system.ask(WORKS, self._prefix)
            except OSError as error:
                self._says_works = True
                log.warning("update.cannot_confirm", extra={"reason": str(error)})

    async def _bring(self, number: str, text: str, signature: bytes, release: Release) -> None:
        try:
            self._inbox.mkdir(mode=0o700, exist_ok=True)
            await asyncio.to_thread(fetch, self._url, self._context(), release, self._inbox / "bundle")
            write_whole(self._inbox / "manifest", text.encode())
            write_whole(self._inbox / "signature", signature)
            write_whole(self._inbox / "number", number.encode())
            self._system.ask(UPDATE)
            self._asked = number
        except (AgentError, OSError) as error:
            if isinstance(error, FetchError) and error.retry:
                log.warning("update.waits", extra={"reason": str(error)})
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._failed[number] = str(error)[:500]

    def _trying(self) -> str | None:
        return _lines(self._system_folder / "trying").get("number")

    def _result(self) -> tuple[str, str] | None:
        said = _lines(self._system_folder / "result")
        if "number" not in said:
            return None
        return said["number"], "" if said.get("outcome") == "applied" else said.get("reason") or "it was refused"


def _named(command: Command) -> tuple[str, bytes, Release]:
    fields = {field.name: field.value for field in command.fields}
    text = fields["manifest"]
    signature = base64.b64decode(fields["signature"], validate=True)
    if len(text) > MOST_TEXT_BYTES or len(signature) > MOST_SIGNATURE_BYTES:
        raise MalformedError("fields", "are too long")
    return text, signature, read_release(text)


def _lines(path: Path) -> dict[str, str]:
    """`name value` a line; empty when the file is not there."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition(" ") for line in text.splitlines())}
