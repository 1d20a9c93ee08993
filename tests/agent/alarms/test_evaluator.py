"""The hub's rules as timelines: a reading at a second, and what is raised or ended by it."""

from collections.abc import Mapping

import pytest
from tests.support.clock import NOON_MS, ManualClock
from tests.support.readings import OXIMETER, PATIENT, plan, reading, rule

from bedside_agent.alarms import evaluator
from bedside_agent.alarms.evaluator import Track, is_watched
from bedside_profiles.readings import ClockQuality, Metric, Modality, Quality, RangeFlag
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import Alarm, AlarmState
from bedside_profiles.wire.careplan import CarePlan, PlannedDevice

OTHER_PATIENT = "77777777-7777-4777-8777-777777777777"


class Timeline:
    """Readings in, states of the alarms out."""

    def __init__(self, care_plan: CarePlan | None = None) -> None:
        self.plan = care_plan or plan()
        self.clock = ManualClock()
        self.tracks: Mapping[str, Track] = {}
        self.episodes = 0
        self.seq = 0

    def reading(self, value: float | None, *, after: float = 1.0, **changes: object) -> list[Alarm]:
        now = self.clock.advance(seconds=after)
        self.seq += 1
        one = reading(value, at=now, **{"seq": self.seq, **changes})
        return self._keep(evaluator.observe(self.plan, self.tracks, one, self._episode))

    def wait(self, seconds: float) -> list[Alarm]:
        now = self.clock.advance(seconds=seconds)
        return self._keep(evaluator.pass_time(self.plan, self.tracks, now, self._episode))

    def change_plan(self, care_plan: CarePlan) -> list[Alarm]:
        outcome = evaluator.change_plan(self.plan, care_plan, self.tracks, self.clock.now())
        self.plan = care_plan
        return self._keep(outcome)

    def _keep(self, outcome: evaluator.Outcome) -> list[Alarm]:
        self.tracks = outcome.tracks
        return list(outcome.alarms)

    def _episode(self) -> str:
        self.episodes += 1
        return f"00000000-0000-4000-8000-{self.episodes:012d}"


def test_a_continuous_signal_raises_after_its_delay_and_clears_inside_the_clear_limit() -> None:
    timeline = Timeline()
    assert timeline.reading(85) == []
    assert timeline.reading(86, after=9) == []
    (raised,) = timeline.reading(84, after=1)
    assert raised.state is AlarmState.RAISED
    assert (raised.value, raised.limit, raised.rule_id, raised.plan_version) == (84, 88, "spo2-low", 1)
    assert [(one.value, one.seq) for one in raised.inputs] == [(85, 1), (84, 3)]
    assert raised.at_ms - raised.onset_ms == 10_000
    assert timeline.reading(89) == [], "back over the limit, but not yet at the clear limit"
    (cleared,) = timeline.reading(90)
    assert (cleared.state, cleared.episode) == (AlarmState.CLEARED, raised.episode)
    timeline.reading(70)
    assert timeline.episodes == 2, "a new occurrence is a new episode"


def test_an_extreme_value_and_one_below_the_devices_range_raise_at_once() -> None:
    assert len(Timeline().reading(75)) == 1
    (raised,) = Timeline().reading(None, range_flag=RangeFlag.BELOW)
    assert (raised.value, raised.range_flag) == (None, RangeFlag.BELOW)
    assert Timeline().reading(None, range_flag=RangeFlag.ABOVE) == []


def test_a_spot_check_without_its_repeat_raises_by_itself() -> None:
    timeline = Timeline()
    assert timeline.reading(85, modality=Modality.SPOT) == []
    assert timeline.wait(299) == []
    (raised,) = timeline.wait(1)
    assert (raised.state, raised.value, raised.device_id) == (AlarmState.RAISED, 85, OXIMETER)
    assert timeline.wait(600) == []


def test_a_sensor_without_contact_neither_raises_nor_clears() -> None:
    timeline = Timeline()
    assert timeline.reading(60, quality=(Quality.NO_CONTACT,)) == []
    timeline.reading(60)
    assert timeline.reading(99, quality=(Quality.NO_CONTACT,)) == []
    assert len(timeline.reading(99)) == 1


def test_rules_of_other_metrics_are_not_touched() -> None:
    high = rule(
        rule_id="pulse-high",
        condition="pulse_high",
        metric=Metric.PULSE_RATE,
        side=Side.ABOVE,
        limit=130,
        clear_limit=None,
        extreme_limit=None,
        onset_delay_ms=0,
    )
    timeline = Timeline(plan(rules=(rule(), high)))
    (raised,) = timeline.reading(140, metric=Metric.PULSE_RATE)
    assert raised.condition == "pulse_high"


@pytest.mark.parametrize(
    "change",
    [{"rules": ()}, {"active": False}, {"patient_id": OTHER_PATIENT}],
)
def test_another_plan_that_drops_the_rule_ends_its_alarm_for_the_first_patient(change: dict[str, object]) -> None:
    timeline = Timeline()
    (raised,) = timeline.reading(60)
    (ended,) = timeline.change_plan(plan(version=2, **change))
    assert (ended.state, ended.episode, ended.patient_id) == (AlarmState.CLEARED, raised.episode, PATIENT)
    assert timeline.tracks == {}


def test_another_plan_that_keeps_the_rule_keeps_its_alarm() -> None:
    timeline = Timeline()
    timeline.reading(60)
    assert timeline.change_plan(plan(version=2, rules=(rule(version=2, limit=86),))) == []
    (cleared,) = timeline.reading(95)
    assert (cleared.state, cleared.plan_version) == (AlarmState.CLEARED, 2)


def test_a_pending_track_of_another_patient_is_dropped_without_an_alarm() -> None:
    timeline = Timeline()
    timeline.reading(85)
    assert timeline.change_plan(plan(version=2, patient_id=OTHER_PATIENT)) == []
    assert timeline.reading(85, after=20) == []


@pytest.mark.parametrize(
    ("device", "quality", "active", "watched"),
    [
        (PlannedDevice(OXIMETER, 0), ClockQuality.SYNCED, True, True),
        (PlannedDevice(OXIMETER, 0), ClockQuality.SYNCED, False, False),
        (PlannedDevice("other", 0), ClockQuality.SYNCED, True, False),
        (PlannedDevice(OXIMETER, NOON_MS + 1), ClockQuality.SYNCED, True, False),
        (PlannedDevice(OXIMETER, 0, NOON_MS), ClockQuality.SYNCED, True, False),
        (PlannedDevice(OXIMETER, NOON_MS, NOON_MS + 1), ClockQuality.SYNCED, True, True),
        (PlannedDevice(OXIMETER, NOON_MS + 1), ClockQuality.UNSYNCED, True, True),
    ],
)
def test_who_is_watched(device: PlannedDevice, quality: ClockQuality, active: bool, watched: bool) -> None:
    now = ManualClock(quality=quality).now()
    assert is_watched(plan(devices=(device,), active=active), OXIMETER, now) is watched
