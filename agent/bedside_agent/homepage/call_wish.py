"""The patient's wish to be called: an alert of its own at the clinicians', which stands until one of them has seen it.

It clears, acknowledges and lowers nothing else. Kept over a restart: a wish that vanished would be an answer.
"""

import asyncio
from collections.abc import Callable

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.buffer.store import Store
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alert import AlertNotice, AlertStage

PATIENT_CALLS = "patient_calls"
"""The condition of its alarm."""

STATE = "patient_calls"

AGAIN_SECONDS = 15 * 60
"""After so long without a word the patient may ask again: it may have been seen while the hub could not hear of it."""

BETWEEN_SECONDS = 3.0
"""The rules look each second: an alarm that was over for as long is another one."""


class CallWish:
    """`noted` is told of each wish that is made."""

    def __init__(self, keeper: AlarmKeeper, store: Store, noted: Callable[[], None]) -> None:
        self._keeper = keeper
        self._store = store
        self._noted = noted
        self._loop = asyncio.get_running_loop()
        self._made_at = self._loop.time()
        self.stands = store.state.get(STATE, b"") != b""
        self._raise()

    @property
    def may_be_made(self) -> bool:
        """Whether asking does something: nobody was asked, or a while ago."""
        return not self.stands or self._loop.time() - self._made_at >= AGAIN_SECONDS

    def make(self) -> None:
        """The patient asks to be called; who asks again at once changes nothing, and is told how far it is."""
        if not self.may_be_made:
            return
        was_made, self.stands, self._made_at = self.stands, True, self._loop.time()
        self._store.put_state({STATE: b"1"})
        self._noted()
        if was_made:
            self._keeper.fault(PATIENT_CALLS, None)
            self._loop.call_later(BETWEEN_SECONDS, self._raise)
        else:
            self._raise()

    def hear(self, notice: AlertNotice) -> None:
        """A clinician has seen it: then it is over here, and the call itself is between people."""
        if notice.condition == PATIENT_CALLS and notice.stage is AlertStage.ACKNOWLEDGED and self.stands:
            self.stands = False
            self._store.put_state({STATE: b""})
            self._raise()

    def _raise(self) -> None:
        self._keeper.fault(PATIENT_CALLS, Priority.HIGH if self.stands else None)
