"""The keys of the buffer, in `buffer.key` beside the store, mode 0600.

Open: one key a line, `NUMBER HEX`, the newest last. Sealed: one line, `sealed HEX`, the same text under the wrapping
key that systemd hands over (`wrapping.py`). A hub without one keeps the file open; one that gets one seals the file at
the agent's next start, and seals its rows from then on under a key that never lay open on the disk.
"""

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bedside_agent import trust
from bedside_agent.buffer.sealing import Keyring
from bedside_agent.buffer.wrapping import BESIDE_THE_SERVICE, CREDENTIAL, KEPT_AT, wrapping_key
from bedside_agent.errors import StoreError, UntrustedError
from bedside_agent.whole_file import write_whole

FILE = "buffer.key"

_LINE = re.compile(r"([0-9]{1,5}) ([0-9a-f]{64})")
_SEALED = re.compile(r"sealed ([0-9a-f]+)\n?")
_ABOUT = FILE.encode()
_HIGHEST = 0xFFFF

log = logging.getLogger(__name__)


def open_keyring(store: Path) -> Keyring:
    """The keys for the store at that path; StoreError when there are none and the store holds something.

    A hub that then made a new key would keep on working and would have thrown away all that it had not yet sent.
    """
    path = store.with_name(FILE)
    if path.exists():
        return Keyring(_read(path))
    if store.exists() and _is_sealed_store(store):
        raise StoreError(
            "the key of the buffer is missing",
            cause=f"{FILE} was removed",
            fix=f"put {FILE} back, or move the buffer away: its unsent readings can then not be read",
        )
    return Keyring(add_key(path))


def seal_open_file(store: Path) -> bool:
    """Seal a file of keys that lies open, if systemd hands over a wrapping key; whether that was done.

    A fresh key goes into it: the earlier ones lay open, and a card keeps what was overwritten. Where a full disk or a
    credential that is no key prevents it, the file stays as it is: a hub that can read its buffer goes on measuring.
    """
    path = store.with_name(FILE)
    if path.is_symlink():
        # It leads to a disk that cannot be written; a key that only this copy had would be lost with the power.
        return False
    try:
        if not path.exists() or _is_sealed(path) or wrapping_key() is None:
            return False
        add_key(path)
    except (OSError, StoreError) as error:
        log.warning("buffer.keys_stay_open", extra={"reason": str(error)})
        return False
    log.info("buffer.keys_sealed")
    return True


def check_keys(store: Path) -> None:
    """StoreError when this version could not open the file of keys. Nothing is changed.

    A sealed file whose credential is not at hand passes: only the service gets it.
    """
    path = store.with_name(FILE)
    if path.exists() and not (_is_sealed(path) and wrapping_key() is None):
        _read(path)


def rotate(store: Path) -> int:
    """Seal with a new key from the next start on; its number. The older keys stay and open what they sealed."""
    open_keyring(store)
    return max(add_key(store.with_name(FILE)))


def add_key(path: Path) -> Mapping[int, bytes]:
    """Add a fresh key to the file, whole or not at all; all its keys. Sealed where systemd gives a wrapping key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path.parent):
        known = _read(path) if path.exists() else {}
        number = max(known, default=0) + 1
        if number > _HIGHEST:
            raise StoreError(f"{path} holds as many keys as there are numbers")
        known[number] = secrets.token_bytes(32)
        text = "".join(f"{one} {key.hex()}\n" for one, key in sorted(known.items()))
        wrapping = wrapping_key()
        if wrapping is not None:
            text = f"sealed {trust.seal(wrapping, text.encode(), _ABOUT).hex()}\n"
        write_whole(path, text.encode(), mode=0o600)
    return known


def _read(path: Path) -> dict[int, bytes]:
    text = _text(path)
    sealed = _SEALED.fullmatch(text)
    if sealed:
        text = _unwrapped(sealed[1])
    lines = text.splitlines()
    found = [_LINE.fullmatch(line) for line in lines if line]
    keys = {int(match[1]): bytes.fromhex(match[2]) for match in found if match and 0 < int(match[1]) <= _HIGHEST}
    if not keys or len(keys) != len(found):
        raise StoreError(f"{path} is no file of keys", cause="the file is damaged", fix=f"put {FILE} back from a copy")
    return keys


def _unwrapped(sealed: str) -> str:
    wrapping = wrapping_key()
    if wrapping is None:
        raise StoreError(
            f"{FILE} is sealed, and systemd does not hand over the credential {CREDENTIAL} that opens it",
            cause=f"{KEPT_AT} was removed; or this is a command, and the service does not run or is another user's",
            fix=f"put that file back from its copy; for a command: {BESIDE_THE_SERVICE}",
        )
    try:
        return trust.unseal(wrapping, bytes.fromhex(sealed), _ABOUT).decode("ascii")
    except (UntrustedError, ValueError) as cause:
        raise StoreError(
            f"{FILE} does not open with the credential {CREDENTIAL} that systemd hands over",
            cause="the credential was made anew or is another hub's, or the file is damaged",
            fix=f"put {KEPT_AT} and {FILE} back as they were, or move the buffer and {FILE} away: unsent readings can "
            "then not be read",
        ) from cause


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as cause:
        raise StoreError(f"{path} cannot be read", cause="another user runs this, or the file is damaged") from cause


def _is_sealed(path: Path) -> bool:
    return _SEALED.fullmatch(_text(path)) is not None


def _is_sealed_store(store: Path) -> bool:
    """Whether something in the file can only be opened with a key: it is a store, and its schema is 2 or later."""
    with store.open("rb") as file:
        head = file.read(64)
    return head.startswith(b"SQLite format 3") and int.from_bytes(head[60:64], "big") > 1


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process at a time reads the file and replaces it: of two that each add a key, one would lose the other's."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
