"""The embedded PostgreSQL: made once, private to each service, and back after the worst."""

import os
import signal
from pathlib import Path

import psycopg
import pytest
from tests.support.database import PASSWORDS, TestDatabase, running_postgres

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.engines.postgres import Postgres, new_generation
from bedside_cloud.engines.processes import working_in
from bedside_cloud.engines.reachable import free_ports
from bedside_cloud.secret import Secret


@pytest.fixture
def postgres(tmp_path: Path) -> Postgres:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    return Postgres(private / "postgres", free_ports(1)[0], Secret("secret"))


def test_it_is_made_below_a_private_folder_and_never_runs_as_root(postgres: Postgres) -> None:
    with running_postgres(postgres):
        owner = postgres.data.stat().st_uid
        pids = working_in(postgres.data)
        assert pids
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {owner}
        assert owner != 0


def test_it_comes_back_after_sigkill_with_its_children_still_there(postgres: Postgres) -> None:
    with running_postgres(postgres) as server:
        postgres.provision(SERVICES, PASSWORDS)
        with psycopg.connect(postgres.dsn()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        orphans = [pid for pid in working_in(postgres.data) if pid != server.pid]
        os.kill(server.pid, signal.SIGKILL)
        server.wait(10)
        assert orphans
        # A pid file that names a living stranger is what a reused pid looks like.
        (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n")
    with running_postgres(postgres), psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_an_interrupted_first_start_leaves_nothing_behind(postgres: Postgres) -> None:
    (postgres.directory / "building").mkdir(parents=True)
    (postgres.directory / "building" / "PG_VERSION").write_text("18\n")
    with running_postgres(postgres):
        assert postgres.answers()
    assert not (postgres.directory / "building").exists()
    assert not (postgres.directory / "password").exists()


def test_provisioning_twice_changes_nothing(postgres: Postgres) -> None:
    with running_postgres(postgres):
        postgres.provision(SERVICES, PASSWORDS)
        with psycopg.connect(postgres.dsn()) as connection:
            before = connection.execute("SELECT generation FROM platform.generation").fetchone()
        postgres.provision(SERVICES, PASSWORDS)
        with psycopg.connect(postgres.dsn()) as connection:
            assert connection.execute("SELECT generation FROM platform.generation").fetchone() == before


def test_a_service_makes_tables_in_its_own_schema_alone(database: TestDatabase) -> None:
    names = [service.name for service in SERVICES if service.schema]
    for name in names:
        with psycopg.connect(database.settings(name).dsn.reveal()) as connection:
            connection.execute(f"CREATE TABLE {name}.secrets (one integer)")
    for name in names:
        for other in names:
            if other == name:
                continue
            for statement in (f"TABLE {other}.secrets", f"CREATE TABLE {other}.mine (one integer)"):
                with (
                    psycopg.connect(database.settings(name).dsn.reveal()) as connection,
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                ):
                    connection.execute(statement)


@pytest.mark.parametrize("statement", ["CREATE TABLE public.mine (one integer)", "CREATE SCHEMA mine"])
def test_a_service_makes_nothing_outside_its_schema(database: TestDatabase, statement: str) -> None:
    with (
        psycopg.connect(database.settings("ingest").dsn.reveal()) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_the_generation_can_be_read_but_not_changed_by_a_service(database: TestDatabase) -> None:
    with psycopg.connect(database.settings("ingest").dsn.reveal()) as connection:
        before = connection.execute("SELECT generation::text FROM platform.generation").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE platform.generation SET generation = gen_random_uuid()")
    after = new_generation(database.superuser_dsn)
    assert (after,) != before


def test_a_wrong_password_is_refused(database: TestDatabase) -> None:
    dsn = database.postgres.dsn("ingest", "wrong", database.name)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn)


def test_what_a_statement_holds_is_not_in_the_log(postgres: Postgres) -> None:
    with running_postgres(postgres), psycopg.connect(postgres.dsn(database="postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE people (name text PRIMARY KEY)")
        connection.execute("INSERT INTO people VALUES (%s)", ("Planted Person",))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO people VALUES (%s)", ("Planted Person",))
    log = (postgres.directory.parent / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Planted" not in log
