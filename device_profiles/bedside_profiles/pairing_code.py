"""The code on a hub's label that opens the patient's page to the household's telephones."""

import re
import secrets

PATTERN = re.compile(r"[a-z2-9]{4}(-[a-z2-9]{4}){3}")

_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that a person takes for one another."""


def new_pairing_code() -> str:
    """Four groups of four that a person can type: 79 random bits."""
    text = "".join(secrets.choice(_SIGNS) for _ in range(16))
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))
