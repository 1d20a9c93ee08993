"""The audit log's chain: nobody changes it unseen, and the service that writes it cannot change it at all."""

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from tests.support.database import TestDatabase

from bedside_cloud.engines.audit import BrokenChainError, Entry, Head, checked, deeds, entries, hash_of

PERSON, PATIENT = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
INSERT = "INSERT INTO audit.reads (person_id, patient_id, what) VALUES (%s, %s, %s)"


@pytest.fixture
def written(database: TestDatabase) -> TestDatabase:
    """Five entries, two transactions."""
    for number in (3, 2):
        with psycopg.connect(database.settings("gateway").dsn.reveal()) as connection:
            for _ in range(number):
                connection.execute(INSERT, (PERSON, PATIENT, "trend"))
    return database


def behind(database: TestDatabase, statement: str) -> None:
    """What whoever owns the database can do: switch the guard off and change the log."""
    with psycopg.connect(database.superuser_dsn) as connection:
        connection.execute("ALTER TABLE audit.reads DISABLE TRIGGER USER")
        connection.execute(statement.encode())
        connection.execute("ALTER TABLE audit.reads ENABLE TRIGGER USER")


def test_an_untouched_chain_holds(written: TestDatabase) -> None:
    found = list(entries(written.superuser_dsn))
    assert checked(found) == Head(5, found[-1].hash)
    assert checked(found, Head(3, found[2].hash)).entry_no == 5
    assert [one.hash == hash_of(one) for one in found] == [True] * 5
    assert {(one.person_id, one.patient_id, one.what) for one in found} == {(PERSON, PATIENT, "trend")}


def test_an_empty_chain_holds(database: TestDatabase) -> None:
    assert checked(entries(database.superuser_dsn)) == Head()


@pytest.mark.parametrize(
    ("statement", "entry_no", "reason"),
    [
        ("UPDATE audit.reads SET what = 'name' WHERE entry_no = 2", 2, "was changed"),
        ("UPDATE audit.reads SET at = at + '1 ms' WHERE entry_no = 4", 4, "was changed"),
        ("UPDATE audit.reads SET person_id = patient_id WHERE entry_no = 1", 1, "was changed"),
        ("DELETE FROM audit.reads WHERE entry_no = 3", 3, "is missing"),
        ("DELETE FROM audit.reads WHERE entry_no = 1", 1, "is missing"),
        ("UPDATE audit.reads SET hash = sha256('x') WHERE entry_no = 2", 2, "was changed"),
        ("UPDATE audit.reads SET previous_hash = sha256('x') WHERE entry_no = 2", 2, "does not follow"),
    ],
)
def test_the_first_broken_entry_is_named(written: TestDatabase, statement: str, entry_no: int, reason: str) -> None:
    behind(written, statement)
    with pytest.raises(BrokenChainError, match=reason) as broken:
        checked(entries(written.superuser_dsn))
    assert broken.value.entry_no == entry_no


def test_entries_taken_off_the_end_are_missed_by_whoever_noted_the_head(written: TestDatabase) -> None:
    noted = checked(entries(written.superuser_dsn))
    behind(written, "DELETE FROM audit.reads WHERE entry_no > 3")
    assert checked(entries(written.superuser_dsn)).entry_no == 3, "the chain alone cannot tell"
    with pytest.raises(BrokenChainError, match="all others up to the noted 5") as broken:
        checked(entries(written.superuser_dsn), noted)
    assert broken.value.entry_no == 4


def test_a_chain_written_anew_is_another_one_than_was_noted(written: TestDatabase) -> None:
    found = list(entries(written.superuser_dsn))
    noted = checked(found)
    forged: list[Entry] = []
    for one in found:
        previous = forged[-1].hash if forged else one.previous_hash
        entry = replace(one, what="name", previous_hash=previous)
        forged.append(replace(entry, hash=hash_of(entry)))
    assert checked(forged).entry_no == 5
    with pytest.raises(BrokenChainError, match="another one than was noted"):
        checked(forged, noted)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.reads SET what = 'name'",
        "DELETE FROM audit.reads",
        "TRUNCATE audit.reads",
        "DROP TABLE audit.reads",
        "ALTER TABLE audit.reads DISABLE TRIGGER link",
        "CREATE TABLE audit.mine (one integer)",
        "INSERT INTO audit.reads (entry_no, person_id, patient_id, what)"
        " VALUES (99, gen_random_uuid(), gen_random_uuid(), 'trend')",
        "INSERT INTO audit.reads (hash, person_id, patient_id, what)"
        " VALUES ('x', gen_random_uuid(), gen_random_uuid(), 'trend')",
    ],
)
def test_the_service_that_writes_the_log_can_do_nothing_else_to_it(written: TestDatabase, statement: str) -> None:
    with (
        psycopg.connect(written.settings("gateway").dsn.reveal()) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize("name", ["identity", "registry", "ingest", "alerting"])
def test_other_services_have_no_part_in_the_log(written: TestDatabase, name: str) -> None:
    with psycopg.connect(written.settings(name).dsn.reveal(), autocommit=True) as connection:
        attempts: tuple[Callable[[], object], ...] = (
            lambda: connection.execute("TABLE audit.reads"),
            lambda: connection.execute(INSERT, (PERSON, PATIENT, "trend")),
        )
        for attempt in attempts:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                attempt()


@pytest.mark.parametrize(
    "statement", ["UPDATE audit.reads SET what = 'x'", "DELETE FROM audit.reads", "TRUNCATE audit.reads"]
)
def test_even_the_owner_changes_it_only_on_purpose(written: TestDatabase, statement: str) -> None:
    with (
        psycopg.connect(written.superuser_dsn) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="only added to"),
    ):
        connection.execute(statement.encode())


DEED = "INSERT INTO audit.deeds (actor, deed, subject, detail) VALUES ('hub-7', 'hub_enrolled', 'hub-7', %s)"


def test_deeds_are_a_chain_of_their_own(written: TestDatabase) -> None:
    for serial in ("2a", "2b", "2c"):
        with psycopg.connect(written.settings("identity").dsn.reveal()) as connection:
            connection.execute(DEED, (serial,))
    found = list(deeds(written.superuser_dsn))
    assert checked(found) == Head(3, found[-1].hash)
    assert [one.detail for one in found] == ["2a", "2b", "2c"]
    with psycopg.connect(written.superuser_dsn) as connection:
        connection.execute("ALTER TABLE audit.deeds DISABLE TRIGGER USER")
        connection.execute("UPDATE audit.deeds SET subject = 'hub-8' WHERE entry_no = 2")
    with pytest.raises(BrokenChainError, match="entry 2 was changed"):
        checked(deeds(written.superuser_dsn))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.deeds SET actor = 'nobody'",
        "DELETE FROM audit.deeds",
        "TRUNCATE audit.deeds",
        "INSERT INTO audit.deeds (entry_no, actor, deed, subject) VALUES (7, 'a', 'b', 'c')",
        "INSERT INTO audit.reads (person_id, patient_id, what) VALUES (gen_random_uuid(), gen_random_uuid(), 'x')",
    ],
)
def test_identity_can_only_add_to_the_deeds(written: TestDatabase, statement: str) -> None:
    with (
        psycopg.connect(written.settings("identity").dsn.reveal()) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_gateway_has_no_part_in_the_deeds(written: TestDatabase) -> None:
    with (
        psycopg.connect(written.settings("gateway").dsn.reveal()) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(DEED, ("2a",))
