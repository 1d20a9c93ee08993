"""Fails a test when what it logged could be a patient's data: a planted name, or a field that carries a value.

Registered for every test in `tests/conftest.py`. Tests that handle people use the planted texts below as their names,
birth dates and numbers, so that a leak is found wherever it happens.
"""

import logging
import re
from collections.abc import Iterator

import pytest

PLANTED = ("Wilhelmina Testperson", "Testperson", "1931-02-29", "MRN-7700042")
"""A name, a surname, a birth date and a record number that stand nowhere else."""

VALUE = re.compile(
    r"\b(spo2|pulse_rate|heart_rate|systolic_pressure|diastolic_pressure|mean_pressure|body_temperature|glucose|"
    r"body_weight|respiratory_rate|value)\b['\"]?\s*[=:]\s*-?\d",
    re.IGNORECASE,
)
"""A measured quantity followed by a number."""

_PLAIN = frozenset(vars(logging.makeLogRecord({})))
_NAMED = frozenset({"value", "reading", "patient_name", "birth_date", "mrn"})


class Leak(logging.Handler):
    """Collects what must not have been logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        text = f"{record.getMessage()} {fields} {record.exc_info[1] if record.exc_info else ''}"
        for name in PLANTED:
            if name in text:
                self.found.append(f"{record.name}: a planted patient's data")
        if record.name.startswith("bedside") and (VALUE.search(text) or _NAMED & set(fields)):
            self.found.append(f"{record.name}: what may be a reading: {text[:200]}")


@pytest.fixture(autouse=True)
def log_guard() -> Iterator[Leak]:
    """Watch the root logger while the test runs."""
    root = logging.getLogger()
    leak = Leak()
    root.addHandler(leak)
    yield leak
    root.removeHandler(leak)
    if leak.found:
        pytest.fail("logged what must not be logged: " + "; ".join(leak.found))
