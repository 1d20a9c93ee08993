"""What the page says, from what the hub knows. Pure.

It never says that a patient is well. It is green only in the hours in which, by the plan, somebody looks, while the
cloud stores what is measured, nothing that was planned is overdue, and nothing stands: one missing, and it is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from bedside_agent.homepage.alarm_test import RUNNING, TestStage
from bedside_agent.homepage.values import Line
from bedside_agent.signals import sentences
from bedside_agent.signals.sentences import _
from bedside_profiles.cover import CoverHours, watch
from bedside_profiles.readings import Metric
from bedside_profiles.wire.alert import AlertNotice, AlertStage

WORDS = Path(__file__).parent / "words"

SEEN_MS = 5 * 60_000
"""After so long without a word from the cloud that it has stored something, nobody can see what is measured."""

FRESH_MS = 24 * 3_600_000
"""Who measured nothing for a day is told nothing that comforts."""

WORKS = _("The monitor works. Your readings reach the hospital's computer.")
WATCHED = _("The monitor works. Your care team looks at your readings until {time}.")
ALWAYS_WATCHED = _("The monitor works. Your care team looks at your readings day and night.")
UNWATCHED = _("The monitor works. Nobody looks at your readings until {time}.")
DAYS = (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))
NOT_SEEN = _("We cannot see your readings now.")
NOT_KEPT = _("The monitor has a fault. We cannot see your readings now.")
NOT_IN_USE = _("The monitor is on. It is not in use for you yet.")
TOLD = _("Your care team has been told.")
LOOKED_AT = _("Someone from your care team is looking at it.")
NOBODY = _("Nobody has answered yet.")
NOT_TOLD_YET = _("The monitor is telling your care team.")
LAST = _("Last reading: {about}, at {time}.")
NOTHING_YET = _("No reading yet since the monitor was switched on.")
NOTHING_TO_DO = _("You do not need to do anything now.")
CALL_WORSE = _("If you feel worse, call {number}.")
CALL_QUESTION = _("If you have a question, call {number}.")
TITLE = _("Your monitor")
CALL_ME = _("Call me")
CALL_SENT = _("You asked for a call. The monitor is telling your care team.")
CALL_TOLD = _("You asked for a call. Your care team has been told.")
CALL_NOBODY = _("You asked for a call. Nobody has answered yet.")
CALL_STUCK = _("You asked for a call. The monitor cannot reach your care team now.")
ALL_RIGHT = _("I am all right")
SAID_ALL_RIGHT = _("You said that you are all right. Your care team sees it, and still looks at the reading.")
TEST_ALARM = _("Test the alarm")
TEST_SENT = _("This is a test. You hear the alarm once. The monitor is telling your care team.")
TEST_SILENT = _("This is a test. The monitor cannot make a sound. It is telling your care team.")
TEST_REACHED = _("This is a test. It has reached the hospital's computer. We wait for your care team to see it.")
TEST_SEEN = _("The test worked. Your care team saw it at {time}.")
TEST_UNSEEN = _("The test reached the hospital's computer. Nobody on your care team has answered it.")
TEST_FAILED = _("The test did not reach your care team. Please tell them.")
NOT_PAIRED = _("This code does not open the readings. Scan the code on the monitor's label.")
READINGS = _("Your readings")
NOT_ME = _("That was not me")
READ_ALOUD = _("Read aloud")
ADDRESS = _("The address of this page: {address}")
CANNOT_SPEAK = _("The monitor cannot speak here. Please read the page.")


def words(language: str) -> Callable[[str], str]:
    """What translates the page's own texts."""
    return sentences.translator(language, WORDS)


class Tone(StrEnum):
    """How the page looks: `act` only when the patient must do something, `watched` (green) when nothing is amiss."""

    WATCHED = "watched"
    CALM = "calm"
    WAIT = "wait"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the hub knows. Times are UTC milliseconds; `last` is what was measured last and when, by the hub's clock.

    `alarms` are the metrics of active alarms about the patient, None where it is about none; `technical` the conditions
    of those about the equipment; `due` and `again` what is to be measured.
    """

    now_ms: int
    has_plan: bool
    emergency_number: str
    call_back_number: str
    connected: bool
    last_receipt_ms: int | None
    store_trouble: bool
    waiting: int
    last: tuple[Metric, int] | None
    alarms: Sequence[Metric | None]
    technical: Sequence[str]
    due: Sequence[Metric]
    again: Sequence[Metric]
    notices: Sequence[AlertNotice]
    """About those alarms."""

    asked_for_call: bool = False
    """The patient asked for one, and nobody has said that they saw it."""

    may_ask: bool = True
    """Whether to ask for one does something now."""

    call_notices: Sequence[AlertNotice] = ()

    cover: Sequence[CoverHours] = ()
    """When somebody looks at the readings, by the plan; empty: it does not say."""

    alarm_test: TestStage | None = None
    """How far a test of the alarm has come, or what came of the last one a while ago."""

    alarm_test_ms: int = 0
    can_sound: bool = True
    knows_time: bool = True
    """Whether the wall clock can be told from."""

    address: str = ""
    """Where the home's telephones find the page; empty while it has no name."""

    said_all_right: bool = False
    """The patient has answered all alarms that are active."""


@dataclass(frozen=True, slots=True)
class Page:
    """Three sentences and whom to call, in one language."""

    tone: Tone
    works: str
    last: str
    now: str
    calls: tuple[str, ...]
    values: tuple[Line, ...] = ()
    """For a paired telephone alone; never read aloud."""

    may_call: bool = False
    """Whether the patient may ask for a call now: there is a care team, and it was not asked just now."""

    may_answer: bool = False
    """Whether there is an alarm that the patient has not answered."""

    may_test: bool = False
    """Whether the alarm may be tested: nothing about the patient stands, and no test runs."""

    address: str = ""
    """The page's own, for the household's other telephones; never read aloud."""

    @property
    def aloud(self) -> tuple[str, ...]:
        """In the order in which they are read."""
        return (self.works, self.last, self.now, *self.calls)


def page(
    facts: Facts, say: Callable[[str], str], speak: Callable[[str], str], local: Callable[[int], datetime]
) -> Page:
    """`say` translates this page's texts, `speak` those that the voice has too; `local` is the home's wall clock."""
    works, tone = _works(facts, say, local)
    now, must_act = _now(facts, say, speak, local)
    if must_act:
        tone = Tone.ACT
    elif tone is Tone.WATCHED and not _is_on_time(facts):
        tone = Tone.CALM
    may_call = facts.has_plan and facts.may_ask
    may_answer = facts.has_plan and bool(facts.alarms) and not facts.said_all_right
    may_test = facts.has_plan and not facts.alarms and not facts.asked_for_call and facts.alarm_test not in RUNNING
    last = _last(facts, say, speak, local)
    return Page(tone, works, last, now, _calls(facts, say), (), may_call, may_answer, may_test, facts.address)


def _works(facts: Facts, say: Callable[[str], str], local: Callable[[int], datetime]) -> tuple[str, Tone]:
    """The first sentence, and the tone that it allows."""
    if facts.store_trouble:
        return say(NOT_KEPT), Tone.WAIT
    if not facts.has_plan:
        return say(NOT_IN_USE), Tone.WAIT
    is_current = facts.last_receipt_ms is not None and facts.now_ms - facts.last_receipt_ms <= SEEN_MS
    if not facts.connected or (facts.waiting and not is_current):
        return say(NOT_SEEN), Tone.WAIT
    if not facts.cover or not facts.knows_time:
        return say(WORKS), Tone.CALM
    now = local(facts.now_ms)
    watched = watch(facts.cover, now)
    if watched.until is None:
        return say(ALWAYS_WATCHED), Tone.WATCHED if is_current else Tone.CALM
    time = f"{watched.until:%H:%M}"
    if watched.until.date() != now.date():
        time = f"{say(DAYS[watched.until.weekday()])} {time}"
    if watched.is_staffed:
        return say(WATCHED).format(time=time), Tone.WATCHED if is_current else Tone.CALM
    return say(UNWATCHED).format(time=time), Tone.CALM


def _is_on_time(facts: Facts) -> bool:
    """Whether nothing is amiss, overdue, or asked for."""
    stands = (facts.alarms, facts.technical, facts.due, facts.again)
    is_fresh = facts.last is not None and facts.now_ms - facts.last[1] <= FRESH_MS
    return is_fresh and not any(stands) and not facts.asked_for_call and facts.alarm_test not in RUNNING


def _last(
    facts: Facts, say: Callable[[str], str], speak: Callable[[str], str], local: Callable[[int], datetime]
) -> str:
    if facts.last is None:
        return say(NOTHING_YET)
    metric, at_ms = facts.last
    about = speak(sentences.ABOUT.get(metric, sentences.SOMETHING))
    return say(LAST).format(about=about, time=f"{local(at_ms):%H:%M}")


def _now(
    facts: Facts, say: Callable[[str], str], speak: Callable[[str], str], local: Callable[[int], datetime]
) -> tuple[str, bool]:
    """What to do now, and whether there is anything: alarms and the own call before everything else."""
    pressing = []
    if facts.alarms:
        metric = facts.alarms[0]
        about = speak(sentences.SOMETHING if metric is None else sentences.ABOUT.get(metric, sentences.SOMETHING))
        attention = sentences.capital(speak(sentences.ATTENTION).format(about=about))
        pressing += [attention, say(_answered(facts.notices))]
        if facts.said_all_right:
            pressing.append(say(SAID_ALL_RIGHT))
    if facts.asked_for_call:
        pressing.append(say(_called(facts)))
    if pressing:
        return " ".join(pressing), True
    tested = None
    if facts.alarm_test is not None:
        time = f"{local(facts.alarm_test_ms):%H:%M}"
        tested = say(_tested(facts.alarm_test, can_sound=facts.can_sound)).format(time=time)
        if facts.alarm_test in (*RUNNING, TestStage.FAILED):
            return tested, facts.alarm_test is TestStage.FAILED
    for condition in facts.technical:
        told = sentences.technical(speak, condition)[0]
        if told != speak(sentences.OTHER):
            return told, True
    if facts.again:
        return sentences.again(speak, facts.again[0])[0], True
    if facts.due:
        return sentences.due(speak, facts.due[0])[0], True
    # What came of a test is no reason to hide what is to be done.
    return tested or say(NOTHING_TO_DO), False


def _called(facts: Facts) -> str:
    """How far the patient's own call has come. Whom to call by telephone stands below it, always."""
    if not facts.connected:
        return CALL_STUCK
    stages = [one.stage for one in facts.call_notices]
    if AlertStage.NOBODY_REACHED in stages[-1:]:
        return CALL_NOBODY
    return CALL_TOLD if AlertStage.NOTIFIED in stages[-1:] else CALL_SENT


def _tested(stage: TestStage, *, can_sound: bool) -> str:
    """How far the test of the alarm has come."""
    return {
        TestStage.SENT: TEST_SENT if can_sound else TEST_SILENT,
        TestStage.REACHED: TEST_REACHED,
        TestStage.SEEN: TEST_SEEN,
        TestStage.UNSEEN: TEST_UNSEEN,
        TestStage.FAILED: TEST_FAILED,
    }[stage]


def _answered(notices: Sequence[AlertNotice]) -> str:
    """How far the newest alert that is not over has come."""
    stages = [one.stage for one in notices if one.stage is not AlertStage.CLEARED]
    if not stages:
        return NOT_TOLD_YET
    return {
        AlertStage.STORED: NOT_TOLD_YET,
        AlertStage.NOTIFIED: TOLD,
        AlertStage.ACKNOWLEDGED: LOOKED_AT,
        AlertStage.NOBODY_REACHED: NOBODY,
    }[stages[-1]]


def _calls(facts: Facts, say: Callable[[str], str]) -> tuple[str, ...]:
    """Whom to call; said always, also when all is well."""
    found = ((CALL_WORSE, facts.emergency_number), (CALL_QUESTION, facts.call_back_number))
    return tuple([say(text).format(number=number) for text, number in found if number])
