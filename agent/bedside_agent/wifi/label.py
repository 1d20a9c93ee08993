"""The name and the password of the hub's own network.

The password is the code on the hub's label, the one that opens the patient's page: 79 random bits. A hub without such a
label makes one for itself and keeps it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bedside_agent.homepage.pairing import kept_code
from bedside_agent.whole_file import write_whole
from bedside_profiles.pairing_code import new_pairing_code

FILE = "hotspot"
_SIGNS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without those that a person takes for one another."""


@dataclass(frozen=True, slots=True)
class Label:
    """How a telephone gets into the hub's own network, with WPA2."""

    ssid: str
    password: str

    def qr_text(self) -> str:
        """What a telephone's camera understands (Wi-Fi Alliance, WPA3 Specification 3.3, section 7)."""
        return f"WIFI:T:WPA;S:{self.ssid};P:{self.password};;"


def label_of(state: Path, hub_id: str) -> Label:
    """The label's; OSError where a hub without a code cannot keep one."""
    code = kept_code(state) or _own_code(state)
    return Label(f"Bedside-{_short(hub_id)}", code)


def _short(hub_id: str) -> str:
    """Four signs that tell hubs of one home apart, and not which hub it is."""
    return "".join([_SIGNS[one % len(_SIGNS)] for one in hashlib.sha256(hub_id.encode()).digest()[:4]])


def _own_code(state: Path) -> str:
    path = state / FILE
    try:
        kept = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if not kept:
        kept = new_pairing_code()
        write_whole(path, kept.encode(), mode=0o600)
    return kept
