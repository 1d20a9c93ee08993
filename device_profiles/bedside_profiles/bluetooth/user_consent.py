"""What a hub says to a scale that keeps readings for several people: whose it wants, and that person's consent code.

Without a user in the hub's settings nothing is said; many scales then tell what they weigh without it. Nobody is
registered or deleted here: a person does that at the scale.
"""

from collections.abc import Sequence

from bedside_profiles.bluetooth.user_control import CONTROL_POINT, decode, encode_consent
from bedside_profiles.conversation import Known, Moment, Read, Step, Trouble, Write
from bedside_profiles.errors import DecodeError

ANSWER_SECONDS = 10.0


class ConsentConversation:
    """See `Conversation`."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._wakes_at_seconds: float | None = None

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        return self._wakes_at_seconds

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        index, code = self._known.user_index, self._known.consent_code
        if index is None or code is None:
            return ()
        self._wakes_at_seconds = now.seconds + ANSWER_SECONDS
        return (Write(encode_consent(index, code), CONTROL_POINT),)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if characteristic != CONTROL_POINT or self._wakes_at_seconds is None:
            return ()
        try:
            facts = {fact.name: fact.value for fact in decode(characteristic, payload).facts}
        except DecodeError:
            return ()
        self._wakes_at_seconds = None
        if facts.get("success") is True:
            return ()
        said = facts.get("response", "an answer that means nothing")
        return (Trouble(f"the scale refuses the consent of user {self._known.user_index}: {said}"),)

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if step.characteristic != CONTROL_POINT or self._wakes_at_seconds is None:
            return ()
        self._wakes_at_seconds = None
        return (Trouble("the scale takes no consent: it has no users, or must be paired first"),)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._wakes_at_seconds = None
        return (Trouble(f"the scale does not answer the consent of user {self._known.user_index}"),)
