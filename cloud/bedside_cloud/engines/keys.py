"""The broker's Ed25519 key pairs (nkeys): the only importer of nkeys."""

import base64
import hashlib
import json
import os

import nkeys  # type: ignore[import-untyped]


def new_user_seed() -> str:
    """The seed of a new bus user. Whoever holds it is that user."""
    return _seed(nkeys.PREFIX_BYTE_USER)


def new_account_seed() -> str:
    """The seed of a new account: the issuer of what identity answers the broker."""
    return _seed(nkeys.PREFIX_BYTE_ACCOUNT)


def _seed(kind: int) -> str:
    seed: bytes = nkeys.encode_seed(os.urandom(32), kind)
    return seed.decode()


def public_key(seed: str) -> str:
    """The public key that belongs to a seed; it may be shown to anybody."""
    key: bytes = nkeys.from_seed(bytearray(seed.encode())).public_key
    return key.decode()


def signed_claims(seed: str, claims: dict[str, object]) -> str:
    """`claims` as a JWT in the broker's own dialect (`ed25519-nkey`), issued by the seed's key.

    `iss` and `jti` are filled in here.
    """
    body = {**claims, "iss": public_key(seed)}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    text = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
    signature: bytes = nkeys.from_seed(bytearray(seed.encode())).sign(text.encode())
    return f"{text}.{_base64url(signature)}"


def _part(value: dict[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
