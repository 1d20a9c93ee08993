"""How a server program is started: as whom, and so that it ends when its supervisor does."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bedside_cloud.errors import OperatorError

UNPRIVILEGED_NAMES = ("postgres", "nobody")
"""Users that a server may run as when the supervisor is root, best first."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that a server process runs as."""

    uid: int
    gid: int


def unprivileged_user() -> Identity | None:
    """Who takes the servers' place when we are root; None when we are not root and may run them ourselves."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(entry.pw_uid, entry.pw_gid)
    raise OperatorError(
        "PostgreSQL cannot be started.",
        "It refuses to run as root, and there is neither a user postgres nor a user nobody.",
        "Run bedside-cloud as an ordinary user.",
    )


def wrapped(command: list[str], *, death_signal: Literal["INT", "TERM"], user: Identity | None = None) -> list[str]:
    """`command` so that it gets `death_signal` when its parent dies and runs as `user` (None: as we do).

    A change of user keeps the right to read and search everywhere: a virtual environment or a state directory may
    lie below a directory that only root may enter. It does not keep the right to write. Where there is no
    `setpriv` (macOS) and no change of user is wanted, the command is returned as it is.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user is None:
            return command
        raise OperatorError(
            "PostgreSQL cannot be started.",
            "It refuses to run as root, and the program setpriv, which changes the user, is missing.",
            "Install util-linux, or run bedside-cloud as an ordinary user.",
        )
    prefix = [setpriv, f"--pdeathsig={death_signal}"]
    if user is not None:
        prefix += [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
        prefix += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return [*prefix, "--", *command]


def hand_over(path: Path, user: Identity | None) -> None:
    """Make `user` the owner of `path`, which keeps its mode; nothing for None."""
    if user is not None:
        os.chown(path, user.uid, user.gid)
