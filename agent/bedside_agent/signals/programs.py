"""Other programs that make the noise: found when they are needed, and ended when they are not."""

import asyncio
import contextlib
import shutil
from collections.abc import Sequence

from bedside_agent.signals.signal import SignalError

LONGEST_SECONDS = 30.0
"""A program that takes longer hangs: a sound device that is gone can block for ever."""


def found(command: Sequence[str]) -> bool:
    """Whether the command's program is installed."""
    return bool(command) and shutil.which(command[0]) is not None


async def run(command: Sequence[str], given: bytes = b"") -> None:
    """Run it to its end with `given` on its standard input; SignalError when it is missing, fails or hangs.

    When the caller is cancelled the program is ended too.
    """
    program = shutil.which(command[0]) if command else None
    if program is None:
        raise SignalError(f"{command[0] if command else 'the program'} is not installed")
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            program, *command[1:], stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
        )
    except OSError as cause:
        raise SignalError(f"{command[0]} cannot be started: {cause.strerror}") from cause
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            _, said = await process.communicate(given)
    except TimeoutError as cause:
        raise SignalError(f"{command[0]} did not end within {LONGEST_SECONDS:g} s") from cause
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise SignalError(f"{command[0]} failed: {last[:200] or process.returncode}")
