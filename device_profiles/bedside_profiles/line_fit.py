"""Whether what comes over a serial line is the device that is configured, at the rate that is configured. Pure.

A line at another rate gives bytes all the same, and another device gives good ones of another kind: neither breaks,
and neither ever makes sense. What would fit is said, for a person to decide: nothing is switched by itself, because a
format without a checksum that fits by accident would make values out of noise.
"""

from collections.abc import Sequence

from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.profile import Decoded, LineSettings, SerialProfile

LEAST_BYTES = 200
"""However short its frames are: whoever begins to listen hears the rest of one, and some need five in a row."""
SETS = 6
"""Measurement sets without one good frame. A stream that was joined in its midst gives one within two."""
FEWEST_BYTES = 8
"""Fewer may be what plugging in does to a line."""
BELIEVED_SHARE = 4
"""A format without a checksum finds frames in noise too, but then refuses about as many: frames are believed when they
are more than four times as many as the faults."""


class LineJudge:
    """Hears one opening of a line until it makes sense. `others` are what it is compared with."""

    def __init__(self, profile: SerialProfile, others: Sequence[SerialProfile] | None = None) -> None:
        self.makes_sense = False
        """Whether values came, or enough good frames without any. It stays so."""
        self._profile = profile
        self._others = _serial_profiles() if others is None else others
        self._framer = profile.framer()
        self._enough = max(LEAST_BYTES, SETS * len(profile.encode(())))
        self._judged = False
        self._begin()

    def hear(self, data: bytes) -> str | None:
        """The next bytes; once, when enough of them made no sense, a sentence for a technician."""
        if self.makes_sense:
            return None
        self._heard += data
        for outcome in self._framer.feed(data):
            self._good += isinstance(outcome, Decoded)
            self._refused += not isinstance(outcome, Decoded)
            if isinstance(outcome, Decoded) and outcome.measurements and self.is_believable():
                self.makes_sense = True
                return None
        if len(self._heard) < self._enough:
            return None
        self.makes_sense = self.is_believable()
        said = None if self._judged else self.doubt()
        self._judged = True
        self._begin()
        return said

    def doubt(self) -> str | None:
        """What is to be thought of the bytes that came so far, also when they are few; None when they are none."""
        if self.makes_sense or self.is_believable() or len(self._heard) < FEWEST_BYTES:
            return None
        profile = self._profile
        said = (
            f"nothing that it says makes sense as {profile.name} at {in_words(profile.line)}: the line speaks at"
            " another rate, or another device is on it"
        )
        if fitting := self._fitting():
            return f"{said}; it would fit {', '.join(fitting)}"
        if kin := self._kin():
            return f"{said}; of this maker there are also {', '.join(kin)}"
        return said

    def _begin(self) -> None:
        """What comes is judged anew: a line may be put right while it is open."""
        self._heard = b""
        self._good = self._refused = 0

    def is_believable(self) -> bool:
        """Whether what came looks like frames, as far as it has been heard."""
        return self._good > BELIEVED_SHARE * self._refused

    def _fitting(self) -> list[str]:
        """Profiles of the same settings to which it makes sense. A narrower comparison is a person's."""
        rivals = [one for one in self._others if one.line == self._profile.line and one.name != self._profile.name]
        return [rival.name for rival in rivals if _makes_sense(rival, self._heard)]

    def _kin(self) -> list[str]:
        """Profiles of the same maker over another line: what was heard cannot be read back at another rate."""
        return [
            f"{other.name} ({in_words(other.line)})"
            for other in self._others
            if other.line != self._profile.line and _maker(other) == _maker(self._profile)
        ]


def in_words(line: LineSettings) -> str:
    """`9600 baud 8N1`."""
    return f"{line.baud} baud {line.data_bits}{line.parity}{line.stop_bits}"


def _makes_sense(profile: SerialProfile, heard: bytes) -> bool:
    judge = LineJudge(profile, ())
    judge.hear(heard)
    return judge.makes_sense or judge.is_believable()


def _maker(profile: SerialProfile) -> str:
    return profile.label.split()[0]


def _serial_profiles() -> tuple[SerialProfile, ...]:
    return tuple([profile for profile in CATALOGUE if isinstance(profile, SerialProfile)])
