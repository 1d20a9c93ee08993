"""What the voice says: what it is about and whom to call, never a value, never a name.

English stands in the code; other languages are gettext catalogues (`words/LANGUAGE.po`) in their plain text form.
"""

import ast
import gettext
import re
from collections.abc import Callable
from pathlib import Path

from bedside_profiles.readings import Metric

WORDS = Path(__file__).parent / "words"
ENGLISH = "en"

_ENTRY = re.compile(r'^msgid ((?:"(?:[^"\\]|\\.)*"\s*)+)msgstr ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.MULTILINE)


def _(text: str) -> str:
    """Marks a text for translation."""
    return text


ABOUT = {
    Metric.SPO2: _("your oxygen level"),
    Metric.PULSE_RATE: _("your pulse"),
    Metric.HEART_RATE: _("your heart rate"),
    Metric.SYSTOLIC_PRESSURE: _("your blood pressure"),
    Metric.DIASTOLIC_PRESSURE: _("your blood pressure"),
    Metric.MEAN_PRESSURE: _("your blood pressure"),
    Metric.BODY_TEMPERATURE: _("your temperature"),
    Metric.RESPIRATORY_RATE: _("your breathing"),
    Metric.BODY_WEIGHT: _("your weight"),
    Metric.GLUCOSE: _("your blood sugar"),
}
SOMETHING = _("one of your measurements")
ATTENTION = _("Attention. {about} needs attention.")
FEEL_WORSE = _("If you feel worse, call {number}.")
QUESTIONS = _("If you have a question, call {number}.")
TECHNICAL = {
    "sensor_off": _("A sensor has come off. Please put it on again."),
    "battery_low": _("The battery of a device is low. Please charge or change it."),
    "no_data": _("A device is silent. Please check that it is on and near."),
}
OTHER = _("The monitor needs help. You do not need to do anything.")
DUE = _("It is time to measure {about}.")
TEST = _("This is a test. This is how the alarm sounds.")
AGAIN = _("Please rest for a moment, and then measure {about} again.")


class Catalogue(gettext.NullTranslations):
    """A `.po` file's entries; a text that it does not have stays English."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._entries = {_unquoted(before): _unquoted(after) for before, after in _ENTRY.findall(text)}

    def gettext(self, message: str) -> str:
        """The translation."""
        return self._entries.get(message) or message


def languages() -> tuple[str, ...]:
    """Every language that the voice speaks."""
    return (ENGLISH, *sorted(path.stem for path in WORDS.glob("*.po")))


def translator(language: str, words: Path = WORDS) -> Callable[[str], str]:
    """What translates a text of this module into `language`, or one of which the catalogues are in another folder."""
    if language == ENGLISH:
        return gettext.NullTranslations().gettext
    return Catalogue((words / f"{language}.po").read_text(encoding="utf-8")).gettext


def alarm(say: Callable[[str], str], metric: Metric | None, emergency: str, call_back: str) -> tuple[str, ...]:
    """About the patient: what needs attention, and whom to call."""
    about = say(ABOUT.get(metric, SOMETHING) if metric else SOMETHING)
    sentences = [say(ATTENTION).format(about=about)]
    return (*map(capital, sentences), *_whom(say, emergency, call_back))


def technical(say: Callable[[str], str], condition: str) -> tuple[str, ...]:
    """About the equipment."""
    return (say(TECHNICAL.get(condition.partition(".")[0], OTHER)),)


def test(say: Callable[[str], str]) -> tuple[str, ...]:
    """A test alarm."""
    return (say(TEST),)


def due(say: Callable[[str], str], metric: Metric) -> tuple[str, ...]:
    """A reminder of a planned measurement."""
    return (say(DUE).format(about=say(ABOUT.get(metric, SOMETHING))),)


def again(say: Callable[[str], str], metric: Metric) -> tuple[str, ...]:
    """A check that is to be repeated."""
    return (say(AGAIN).format(about=say(ABOUT.get(metric, SOMETHING))),)


def _whom(say: Callable[[str], str], emergency: str, call_back: str) -> tuple[str, ...]:
    said = []
    if emergency:
        said.append(say(FEEL_WORSE).format(number=_digits(emergency)))
    if call_back:
        said.append(say(QUESTIONS).format(number=_digits(call_back)))
    return tuple(said)


def _digits(number: str) -> str:
    """Digit by digit: `1 1 2` is understood, a hundred and twelve is not."""
    return " ".join(letter for letter in number if letter.isdigit())


def capital(sentence: str) -> str:
    """Sentences begin with a capital, also after the first one's stop."""
    return re.sub(r"(^|[.!?] )(\w)", lambda found: found[1] + found[2].upper(), sentence)


def _unquoted(quoted: str) -> str:
    return "".join(str(ast.literal_eval(piece)) for piece in re.findall(r'"(?:[^"\\]|\\.)*"', quoted))
