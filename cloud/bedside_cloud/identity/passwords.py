"""People's passwords: Argon2id with RFC 9106's low-memory parameters. The only importer of argon2."""

import argon2

_HASHER = argon2.PasswordHasher.from_parameters(argon2.profiles.RFC_9106_LOW_MEMORY)

SHORTEST = 8
"""NIST SP 800-63B's least length."""


def password_hash(password: str) -> str:
    """The hash with its salt and parameters; takes some 50 ms of one core and 64 MiB, on purpose."""
    return _HASHER.hash(password)


NOBODYS_HASH = password_hash("nobody")
"""Checked when the name is unknown, so that the time taken does not tell whether it is."""


def is_right(hashed: str, password: str) -> bool:
    """Whether the password belongs to the hash."""
    try:
        return _HASHER.verify(hashed, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


def pause_seconds(failures: int) -> float:
    """How long after that many failed log-ins in a row the next one may come: none for four, then doubling to 15
    minutes. Longer would let anybody lock a nurse out."""
    return 0.0 if failures < 5 else float(min(900, 2 ** (failures - 4)))
