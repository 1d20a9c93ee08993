"""The one key that is not the hub's to change: systemd keeps it for the machine and hands it to the service alone.

It seals the file of keys (`key_file.py`) and nothing else, so that a new key of the buffer is the agent's matter and
the credential stays what it is.
"""

import os
import re
from pathlib import Path

from bedside_agent.errors import StoreError

CREDENTIAL = "bedside.buffer-key"
"""Its name in the unit, in systemd's folders, and inside the encrypted credential: 64 hexadecimal digits."""

KEPT_AT = f"/etc/credstore.encrypted/{CREDENTIAL}"

SERVICE = Path("/run/credentials/bedside-agent.service")
"""Where systemd shows it to the hub's user while the service runs: what a technician's command finds it by."""

BESIDE_THE_SERVICE = (
    f"sudo systemd-run --pty --wait -p User=bedside -p LoadCredentialEncrypted={CREDENTIAL} bedside-agent ..."
)
"""How a command gets the credential while the service does not run."""

_TEXT = re.compile(r"[0-9a-f]{64}")


def wrapping_key() -> bytes | None:
    """The key that systemd hands over; None where it hands over none. StoreError when what it hands over is no key."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    for folder in (Path(directory) if directory else None, SERVICE):
        if folder is None:
            continue
        try:
            text = (folder / CREDENTIAL).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            continue
        except PermissionError:
            # Another user's command: it learns what it needs when it finds the file of keys sealed.
            continue
        except (OSError, UnicodeDecodeError):
            text = ""
        if not _TEXT.fullmatch(text):
            raise StoreError(
                f"the credential {CREDENTIAL} is no key: it must be 64 hexadecimal digits",
                fix=f"put {KEPT_AT} back from its copy",
            )
        return bytes.fromhex(text)
    return None
