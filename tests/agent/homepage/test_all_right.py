"""“I am all right” on the patient's page: a word about these alarms, once, and no answer to the next."""

from tests.agent.homepage.test_page import shown

from bedside_agent.homepage.all_right import AllRight
from bedside_agent.homepage.page import SAID_ALL_RIGHT, Tone
from bedside_profiles.readings import Metric
from bedside_profiles.wire.events import PATIENT_SAYS_WELL


def test_it_is_told_once_for_the_alarms_that_sound() -> None:
    told: list[str] = []
    word = AllRight(told.append)
    assert not word.say([])
    assert word.say(["a", "b"])
    assert not word.say(["b"])
    assert word.is_said_of(["a", "b"])
    assert told == [PATIENT_SAYS_WELL]


def test_a_new_alarm_is_not_answered_by_it() -> None:
    told: list[str] = []
    word = AllRight(told.append)
    word.say(["a"])
    assert not word.is_said_of(["a", "c"])
    assert word.say(["a", "c"])
    assert told == [PATIENT_SAYS_WELL] * 2


def test_it_can_be_said_of_an_alarm_about_the_patient_alone() -> None:
    assert not shown().may_answer
    assert not shown(technical=("sensor_off.oximeter",)).may_answer
    assert shown(alarms=(Metric.SPO2,)).may_answer
    assert not shown(alarms=(Metric.SPO2,), has_plan=False).may_answer


def test_the_page_says_that_it_was_heard_and_goes_on_asking_for_attention() -> None:
    page = shown(alarms=(Metric.SPO2,), said_all_right=True)
    assert not page.may_answer
    assert page.tone is Tone.ACT
    assert SAID_ALL_RIGHT in page.now
    assert page.now.startswith(shown(alarms=(Metric.SPO2,)).now)


def test_without_an_alarm_nothing_is_said_of_it() -> None:
    assert SAID_ALL_RIGHT not in shown(said_all_right=True).now
