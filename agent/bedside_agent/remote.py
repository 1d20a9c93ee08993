"""What a technician elsewhere can have the hub do. Each is signed, ends by itself, and leaves an event on the hub."""

import asyncio
import gzip
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bedside_agent import support_bundle
from bedside_agent.errors import AgentError
from bedside_agent.uplink.commands import Action, CommandFailedError
from bedside_agent.uplink.renewal import Renewal
from bedside_profiles.wire.command import MOST_CONTENT_BYTES

RESTART_SECONDS = 2.0
"""Between the answer and the end of the process: the answer is sent meanwhile."""

BUNDLE_SECONDS = 120.0
JOURNAL = "journal.txt"

NOT_SUPERVISED = "nothing would start the agent again: it was not started by systemd"
NO_JOURNAL = "there is no journal of the agent on this computer"


class Remote:
    """`stop` ends the process in good order. Every action may be followed twice, and does no more then."""

    def __init__(
        self, state: Path, renewal: Renewal, stop: Callable[[], None], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._state = state
        self._renewal = renewal
        self._stop = stop
        self._environment = environment

    def actions(self) -> dict[str, Action]:
        """By the kind of command."""
        return {
            "restart": self.restart,
            "rotate_key": self.rotate_key,
            "collect_bundle": self.collect_bundle,
            "pull_logs": self.pull_logs,
        }

    async def restart(self) -> bytes:
        """End the agent once this is answered; systemd starts it again."""
        if "INVOCATION_ID" not in self._environment:
            raise CommandFailedError(NOT_SUPERVISED)
        asyncio.get_running_loop().call_later(RESTART_SECONDS, self._stop)
        return b""

    async def rotate_key(self) -> bytes:
        """A new key and certificate, proven before the old ones go."""
        try:
            await self._renewal.renew_now()
        except AgentError as error:
            raise CommandFailedError(str(error)) from error
        return b""

    async def collect_bundle(self) -> bytes:
        """The archive of `bedside-agent bundle`, its journals cut to their newest part where it would be too large."""
        with tempfile.TemporaryDirectory(prefix="bedside-bundle-") as folder:
            output = Path(folder) / "bundle.tar.gz"
            program = (sys.executable, "-c", "from bedside_agent.main import main; main()", "bundle")
            where = ("--state", str(self._state), "--output", str(output))
            process = await asyncio.create_subprocess_exec(
                *program, *where, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            try:
                async with asyncio.timeout(BUNDLE_SECONDS):
                    _, said = await process.communicate()
            except TimeoutError as error:
                process.kill()
                await process.wait()
                raise CommandFailedError(f"the bundle took more than {BUNDLE_SECONDS:.0f} seconds") from error
            if process.returncode or not output.exists():
                raise CommandFailedError("no bundle: " + said.decode(errors="replace").strip()[-500:])
            return await asyncio.to_thread(support_bundle.fitting, output.read_bytes(), MOST_CONTENT_BYTES)

    async def pull_logs(self) -> bytes:
        """The agent's journal of two days, or its newest part, gzipped."""
        said = await asyncio.to_thread(support_bundle.said_by, support_bundle.COMMANDS[JOURNAL])
        if not said:
            raise CommandFailedError(NO_JOURNAL)
        return await asyncio.to_thread(newest_that_fits, said, MOST_CONTENT_BYTES)


def newest_that_fits(text: bytes, most_bytes: int) -> bytes:
    """`text` gzipped, without its oldest lines where that is larger than `most_bytes`."""
    packed = gzip.compress(text, mtime=0)
    while len(packed) > most_bytes:
        text = support_bundle.newer_half(text)
        packed = gzip.compress(text, mtime=0)
    return packed
