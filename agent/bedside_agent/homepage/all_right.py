"""The patient's word "I am all right" about alarms that sound: told to the clinicians, and it changes nothing else.

It neither clears, acknowledges nor lowers an alarm: who is unwell may say so all the same.
"""

from collections.abc import Callable, Iterable

from bedside_profiles.wire.events import PATIENT_SAYS_WELL


class AllRight:
    """`noted` is told of the word, as an event of that kind. It is given once for each episode of an alarm."""

    def __init__(self, noted: Callable[[str], None]) -> None:
        self._noted = noted
        self._said: frozenset[str] = frozenset()

    def is_said_of(self, episodes: Iterable[str]) -> bool:
        """Whether it was given of all of these."""
        return self._said.issuperset(episodes)

    def say(self, episodes: Iterable[str]) -> bool:
        """Give it of these alarms; False where none sounds of which it was not given yet."""
        present = frozenset(episodes)
        if not present or self.is_said_of(present):
            return False
        self._said = present
        self._noted(PATIENT_SAYS_WELL)
        return True
