"""A real PostgreSQL: one cluster a test session, one database a test, with the roles and schemas of the map."""

import itertools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.database.pool import DatabaseSettings
from bedside_cloud.engines.postgres import Postgres, ensure_roles, provision_database, run_tool
from bedside_cloud.engines.reachable import free_ports
from bedside_cloud.secret import Secret

TEMPLATE = "bedside_template"
PASSWORDS = {service.name: f"password-of-{service.name}" for service in SERVICES}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """A database of its own, empty but for roles, schemas and the platform's tables."""

    __test__ = False

    postgres: Postgres
    name: str

    @property
    def superuser_dsn(self) -> str:
        """For looking behind the services' backs."""
        return self.postgres.dsn(database=self.name)

    def settings(self, service: str) -> DatabaseSettings:
        """As the service itself connects."""
        schema = next(entry.schema for entry in SERVICES if entry.name == service)
        assert schema is not None
        return DatabaseSettings(Secret(self.postgres.dsn(service, PASSWORDS[service], self.name)), schema)

    @contextmanager
    def away(self) -> Iterator[None]:
        """While the block runs every connection to this database is cut and none is taken."""
        name = sql.Identifier(self.name)
        with psycopg.connect(self.postgres.dsn(database="postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.name,)
            )
            try:
                yield
            finally:
                connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def restored(database: TestDatabase, folder: Path) -> TestDatabase:
    """Another database, restored from a dump of this one with the tools that a backup is made with."""
    copy = TestDatabase(database.postgres, f"bedside_test_{next(_numbers)}")
    _create(database.postgres, copy.name)
    environment, dump = {"PGPASSWORD": database.postgres.password.reveal()}, str(folder / "dump")
    source, target = (f"--dbname={database.postgres.dsn(password='', database=one.name)}" for one in (database, copy))
    run_tool("pg_dump", ["--format=custom", f"--file={dump}", source], environment=environment)
    run_tool("pg_restore", ["--exit-on-error", "--single-transaction", target, dump], environment=environment)
    return copy


@contextmanager
def running_postgres(postgres: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    """The server while the block runs; what it logs goes beside its data."""
    postgres.prepare()
    with (postgres.directory.parent / "postgres.log").open("ab") as log:
        process = subprocess.Popen(postgres.command(), stdout=log, stderr=log, cwd="/")
        try:
            postgres.wait_until_it_answers()
            yield process
        finally:
            process.send_signal(2)
            process.wait(30)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Postgres]:
    """The session's cluster, with a provisioned template database."""
    with tempfile.TemporaryDirectory(prefix="bedside-test-") as folder:
        postgres = Postgres(Path(folder) / "postgres", free_ports(1)[0], Secret("superuser's password"))
        with running_postgres(postgres):
            _create(postgres, TEMPLATE)
            dsn = postgres.dsn(database=TEMPLATE)
            ensure_roles(dsn, SERVICES, PASSWORDS)
            provision_database(dsn, SERVICES)
            yield postgres


@pytest.fixture
def database(postgres_cluster: Postgres) -> TestDatabase:
    """A database for this test alone."""
    name = f"bedside_test_{next(_numbers)}"
    _create(postgres_cluster, name, TEMPLATE)
    dsn = postgres_cluster.dsn(database=name)
    provision_database(dsn, SERVICES)
    return TestDatabase(postgres_cluster, name)


def _create(postgres: Postgres, name: str, template: str = "template1") -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(postgres.dsn(database="postgres"), autocommit=True) as connection:
        connection.execute(statement)
