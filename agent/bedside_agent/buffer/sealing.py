"""What lies on the disk is sealed: every row under the newest key, every older key still opens what it sealed."""

from collections.abc import Mapping
from dataclasses import dataclass

from bedside_agent import trust
from bedside_agent.errors import UntrustedError
from bedside_profiles.errors import MalformedError

SEALED = 7
"""First byte of what is sealed; then the key's number in two bytes, the nonce, the sealed bytes."""

_HEAD_BYTES = 3


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
