"""The key that signs versions of the hub's software: Ed25519 (RFC 8032), in an encrypted file that stays offline."""

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bedside_cloud.errors import OperatorError

Sign = Callable[[bytes], bytes]
"""The signature of 64 bytes over what is given."""


def new_release_key(path: Path, passphrase: bytes) -> bytes:
    """Make a key in a new file (PKCS #8, encrypted); its public half as PEM. FileExistsError where one is."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def release_signer(path: Path, passphrase: bytes) -> Sign:
    """What signs with the key in that file. OperatorError when it does not open."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as cause:
        raise OperatorError(f"{path} does not open.", str(cause), "Check the passphrase, and the file.") from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise OperatorError(f"{path} is no Ed25519 key.", "", "Make one: bedside-cloud fleet version key")
    return key.sign
