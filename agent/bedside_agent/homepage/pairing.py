"""Which telephones may see values: those that were paired by the code on the hub's label.

The code makes a cookie that tells nothing of it. Another code unpairs every telephone. Guessing is slowed down: after
some wrong codes none is taken for a while, from anybody.
"""

import hashlib
import hmac
import threading
from collections.abc import Callable
from pathlib import Path

from bedside_agent.whole_file import write_whole

FILE = "pairing"
MOST_WRONG = 10
REST_SECONDS = 600.0
COOKIE = "bedside_phone"
COOKIE_SECONDS = 400 * 86_400
"""As long as browsers keep one."""


def kept_code(state: Path) -> str | None:
    """The hub's code; None while it has none, and nobody can be paired."""
    try:
        return (state / FILE).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def keep_code(state: Path, code: str) -> None:
    """From now on this is the code. OSError when it cannot be written."""
    write_whole(state / FILE, code.encode(), mode=0o600)


class Pairing:
    """`code` is asked anew each time; `seconds` is a monotonic clock. Threads may use it at once."""

    def __init__(self, code: Callable[[], str | None], seconds: Callable[[], float]) -> None:
        self._code = code
        self._seconds = seconds
        self._wrong = 0
        self._rests_until = 0.0
        self._in_turn = threading.Lock()

    def pair(self, code: str) -> str | None:
        """The cookie of a telephone that knows the code; None for a wrong one, or while none is taken."""
        with self._in_turn:
            present = self._code()
            if present is None or self._seconds() < self._rests_until:
                return None
            if not hmac.compare_digest(code.encode(), present.encode()):
                self._wrong += 1
                if self._wrong >= MOST_WRONG:
                    self._wrong, self._rests_until = 0, self._seconds() + REST_SECONDS
                return None
            self._wrong = 0
            return _cookie(present)

    def knows(self, cookie: str | None) -> bool:
        """Whether a telephone with this cookie was paired by the present code."""
        present = self._code()
        if present is None or not cookie:
            return False
        return hmac.compare_digest(cookie.encode(errors="replace"), _cookie(present).encode())


def _cookie(code: str) -> str:
    return hmac.new(code.encode(), b"bedside paired telephone", hashlib.sha256).hexdigest()
