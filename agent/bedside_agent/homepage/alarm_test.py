"""\"Test the alarm\": it sounds at home, goes the whole way to a clinician's screen as a TEST, and the word comes back.

It is never mistaken for an alarm: it says so in every place, counts for nothing, and ends when a real one begins.
"""

from collections.abc import Callable
from enum import Enum, auto

from bedside_agent.alarms.keeper import ALARM_TEST, AlarmKeeper
from bedside_agent.clock import Clock
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.alert import AlertNotice, AlertStage

LONGEST_MS = 10 * 60_000
"""So long a clinician has to confirm it; then it is over, whatever came of it."""

TOLD_MS = 10 * 60_000
"""So long the page says what came of it."""


class TestStage(Enum):
    """How far it has come; the last three are its ends."""

    __test__ = False
    SENT = auto()
    REACHED = auto()
    SEEN = auto()
    UNSEEN = auto()
    FAILED = auto()


RUNNING = (TestStage.SENT, TestStage.REACHED)


class AlarmTest:
    """`noted` is told of each test that begins, and of its end, as an event of that kind with its stage."""

    def __init__(self, keeper: AlarmKeeper, clock: Clock, noted: Callable[[str], None]) -> None:
        self._keeper = keeper
        self._clock = clock
        self._noted = noted
        self._since_ms = 0
        self.stage: TestStage | None = None
        self.at_ms = 0
        """When it came so far, UTC."""

    @property
    def runs(self) -> bool:
        """Whether one is on its way."""
        return self.stage in RUNNING

    def begin(self) -> bool:
        """Begin one; False while one runs, or anything about the patient stands."""
        if self.runs or self._keeper.plan is None or not self._keeper.plan.active or self._is_in_earnest():
            return False
        self._move(TestStage.SENT)
        self._keeper.test(on=True)
        return True

    def hear(self, notice: AlertNotice) -> None:
        """What became of it in the cloud. What is said of an earlier one is not about this one."""
        episodes = [one.episode for one in self._keeper.standing() if one.said.condition == ALARM_TEST]
        if not self.runs or notice.episode not in episodes:
            return
        if notice.stage is AlertStage.ACKNOWLEDGED:
            self._end(TestStage.SEEN)
        elif notice.stage is not AlertStage.CLEARED and self.stage is TestStage.SENT:
            self._move(TestStage.REACHED)

    def look(self) -> None:
        """Let time pass. To be called about every second."""
        lasted_ms = self._clock.now().monotonic_ms - self._since_ms
        is_wanted = self._keeper.plan is not None and self._keeper.plan.active and not self._is_in_earnest()
        if self.runs and not is_wanted:
            self._end(None)
        elif self.runs and lasted_ms >= LONGEST_MS:
            self._end(TestStage.UNSEEN if self.stage is TestStage.REACHED else TestStage.FAILED)
        elif self.stage is not None and not self.runs and lasted_ms >= TOLD_MS:
            self.stage = None

    def _is_in_earnest(self) -> bool:
        return any(one.said.kind is AlarmKind.PHYSIOLOGICAL for one in self._keeper.standing())

    def _end(self, stage: TestStage | None) -> None:
        self._keeper.test(on=False)
        self._move(stage)

    def _move(self, stage: TestStage | None) -> None:
        now = self._clock.now()
        if stage is not TestStage.REACHED:
            self._since_ms = now.monotonic_ms
        self.stage, self.at_ms = stage, now.utc_ms
        self._noted(f"alarm_test_{stage.name.lower()}" if stage is not None else "alarm_test_broken_off")
