"""What the voice says, in each language."""

import ast
import re
from pathlib import Path

import pytest

from bedside_agent.signals import sentences
from bedside_agent.signals.sentences import again, alarm, due, languages, technical, translator
from bedside_profiles.readings import Metric

MARKED = re.findall(r'_\(("[^"]+")\)', Path(sentences.__file__).read_text())
TEXTS = [str(ast.literal_eval(text)) for text in MARKED]


def test_it_says_what_and_whom_to_call_and_no_value() -> None:
    say = translator("en")
    assert alarm(say, Metric.SPO2, "112", "+49 30 123") == (
        "Attention. Your oxygen level needs attention.",
        "If you feel worse, call 1 1 2.",
        "If you have a question, call 4 9 3 0 1 2 3.",
    )
    assert alarm(say, Metric.CUFF_PRESSURE, "", "") == ("Attention. One of your measurements needs attention.",)
    assert due(say, Metric.BODY_WEIGHT) == ("It is time to measure your weight.",)
    assert again(say, Metric.SYSTOLIC_PRESSURE) == (
        "Please rest for a moment, and then measure your blood pressure again.",
    )
    assert technical(say, "no_data.spo2") == technical(say, "no_data")
    assert "help" in technical(say, "clock_fault")[0]


def test_spanish() -> None:
    say = translator("es")
    assert alarm(say, Metric.GLUCOSE, "112", "") == (
        "Atención. Su azúcar en sangre necesita atención.",
        "Si se siente peor, llame al 1 1 2.",
    )


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
def test_a_catalogue_has_every_text_with_its_fields(language: str) -> None:
    say = translator(language)
    assert len(TEXTS) > 15
    for text in TEXTS:
        assert say(text) != text, text
        assert re.findall(r"{\w+}", say(text)) == re.findall(r"{\w+}", text)


def test_a_text_without_a_translation_stays_english() -> None:
    assert sentences.Catalogue("").gettext("anything") == "anything"
