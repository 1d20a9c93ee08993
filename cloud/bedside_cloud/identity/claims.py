"""One-time claims: 100 random bits that a tech can read out on the telephone."""

import hashlib
import secrets

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 signs, none that is taken for another: no I, O, 0, 1."""

GROUPS, SIGNS = 5, 4


def new_claim() -> str:
    """A claim such as `ABCD-EFGH-JKLM-NPQR-STUV`."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(SIGNS)) for _ in range(GROUPS))


def claim_sha256(claim: str) -> bytes:
    """What is kept of a claim. Case, blanks and dashes do not matter: it may have been typed in by hand.

    A plain hash is enough: 100 random bits cannot be searched through, unlike a password.
    """
    signs = "".join(sign for sign in claim.upper() if sign in ALPHABET)
    return hashlib.sha256(signs.encode()).digest()
