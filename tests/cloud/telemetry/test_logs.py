"""What the log says of an exception: where and what kind, never what it quotes."""

import logging
import sys

import psycopg
import pytest
from tests.support.database import TestDatabase
from tests.support.log_guard import PLANTED

from bedside_cloud.contracts.registry_administration import PatientRequest
from bedside_cloud.errors import OperatorError
from bedside_cloud.telemetry.logs import SafeFormatter, set_up_logs

NAME = PLANTED[0]


def logged(error: BaseException) -> str:
    record = logging.LogRecord("bedside_cloud.x", logging.ERROR, "x.py", 1, "failed", (), (type(error), error, None))
    return SafeFormatter().format(record)


def test_what_the_database_quotes_is_left_out(database: TestDatabase) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("CREATE TABLE people (name text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES (%s)", (NAME,))
        with pytest.raises(psycopg.errors.UniqueViolation, match=NAME) as caught:
            connection.execute("INSERT INTO people VALUES (%s)", (NAME,))
    text = logged(caught.value)
    assert "UniqueViolation" in text
    assert NAME not in text


def test_what_pydantic_quotes_is_left_out_also_as_a_cause_and_in_a_group() -> None:
    def nested() -> None:
        try:
            PatientRequest.model_validate({"name": NAME, "birth_date": 7, "mrn": NAME})
        except ValueError as cause:
            raise RuntimeError(NAME) from cause

    with pytest.raises(RuntimeError) as caught:
        nested()
    group = ExceptionGroup(NAME, [caught.value])
    text = logged(group)
    assert NAME not in text
    for word in ("ExceptionGroup", "RuntimeError", "ValidationError", "which led to", "in nested"):
        assert word in text


def test_our_own_sentences_and_the_system_s_stay() -> None:
    assert "It stopped. Try again." in logged(OperatorError("It", "stopped.", "Try again."))
    assert "No space left" in logged(OSError(28, "No space left on device"))


def test_an_exception_that_ends_the_process_is_logged_the_same_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(root, "handlers", [])
    levels = {name: logging.getLogger(name).level for name in ("", "asyncio", "bedside_cloud")}
    try:
        set_up_logs("one")
        sys.excepthook(ValueError, ValueError(NAME), None)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    written = capsys.readouterr().err
    assert "CRITICAL one bedside_cloud process_ends" in written
    assert NAME not in written
