"""The keys of the buffer: every row is sealed under the newest, every older one still opens what it sealed.

The keys come from systemd (`$CREDENTIALS_DIRECTORY/buffer.key`) or from `buffer.key` beside the store, mode 0600, which
is made with a new store. One key a line, `NUMBER HEX`, the newest last.
"""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bedside_agent import trust
from bedside_agent.errors import StoreError, UntrustedError
from bedside_profiles.errors import MalformedError

FILE = "buffer.key"
SEALED = 7
"""First byte of what is sealed; then the key's number in two bytes, the nonce, the sealed bytes."""

_LINE = re.compile(r"([0-9]{1,5}) ([0-9a-f]{64})")
_HEAD_BYTES = 3
_HIGHEST = 0xFFFF


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Keys by their number; the highest seals."""

    keys: Mapping[int, bytes]

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """`plain` sealed under the newest key; it opens only with the same `about`."""
        number = max(self.keys)
        return bytes([SEALED]) + number.to_bytes(2, "big") + trust.seal(self.keys[number], plain, about)

    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        """What was sealed; MalformedError when it was changed or its key is not here."""
        key = self.keys.get(key_number(sealed))
        if sealed[:1] != bytes([SEALED]) or key is None:
            raise MalformedError("sealed bytes", "have no key here")
        try:
            return trust.unseal(key, sealed[_HEAD_BYTES:], about)
        except UntrustedError as cause:
            raise MalformedError("sealed bytes", "are damaged") from cause


def key_number(sealed: bytes) -> int:
    """The number of the key that sealed these bytes."""
    return int.from_bytes(sealed[1:_HEAD_BYTES], "big")


def open_keyring(store: Path) -> Keyring:
    """The keys for the store at that path; StoreError when there are none and the store holds something.

    A hub that then made a new key would keep on working and would have thrown away all that it had not yet sent.
    """
    keys: dict[int, bytes] = {}
    for path in (store.with_name(FILE), _credential()):
        if path is not None and path.exists():
            keys.update(_read(path))
    if keys:
        return Keyring(keys)
    if store.exists() and _is_sealed(store):
        raise StoreError(
            "the key of the buffer is missing",
            cause=f"{FILE} was removed, or the service was started without its credential",
            fix=f"put {FILE} back, or move the buffer away: its unsent readings can then not be read",
        )
    return Keyring({1: add_key(store.with_name(FILE))})


def rotate(store: Path) -> int:
    """Seal with a new key from the next start on; its number. The older keys stay and open what they sealed."""
    present = open_keyring(store)
    if (credential := _credential()) is not None and credential.exists():
        raise StoreError("the key comes from systemd", fix=f"add a line to the credential: {max(present.keys) + 1} HEX")
    add_key(store.with_name(FILE))
    return max(open_keyring(store).keys)


def add_key(path: Path) -> bytes:
    """Add a fresh key to the file, whole or not at all."""
    known = _read(path) if path.exists() else {}
    number = max(known, default=0) + 1
    if number > _HIGHEST:
        raise StoreError(f"{path} holds as many keys as there are numbers")
    known[number] = secrets.token_bytes(32)
    text = "".join(f"{one} {key.hex()}\n" for one, key in sorted(known.items()))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_whole(path, text.encode())
    return known[number]


def _read(path: Path) -> dict[int, bytes]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise StoreError(f"{path} cannot be read", cause="another user runs this, or the file is damaged") from cause
    found = [_LINE.fullmatch(line) for line in lines if line]
    keys = {int(match[1]): bytes.fromhex(match[2]) for match in found if match and 0 < int(match[1]) <= _HIGHEST}
    if not keys or len(keys) != len(found):
        raise StoreError(f"{path} is no file of keys", cause="the file is damaged", fix=f"put {FILE} back from a copy")
    return keys


def _credential() -> Path | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) / FILE if directory else None


def _is_sealed(store: Path) -> bool:
    """Whether something in the file can only be opened with a key: it is a store, and its schema is 2 or later."""
    with store.open("rb") as file:
        head = file.read(64)
    return head.startswith(b"SQLite format 3") and int.from_bytes(head[60:64], "big") > 1


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
