"""The declared map against a real database: a service has its own schema, and is refused everything else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from tests.support.database import TestDatabase

import bedside_cloud
from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.database.pool import Database

OWNERS = [entry.name for entry in SERVICES if entry.schema]
SCHEMAS = {entry.name: entry.schema for entry in SERVICES if entry.schema}

REACHING_OUT = (
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/outside'",
    "SELECT lo_import('/etc/passwd')",
    "CREATE ROLE another LOGIN",
    "CREATE DATABASE another",
    "CREATE EXTENSION dblink",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SET log_statement = 'all'",
    "SELECT rolpassword FROM pg_authid",
    "SET ROLE postgres",
    "CREATE SCHEMA another",
    "CREATE TABLE public.another (one integer)",
    "CREATE TEMPORARY TABLE another (one integer)",
    "UPDATE platform.generation SET generation = gen_random_uuid()",
    "DROP SCHEMA platform CASCADE",
)


@pytest.fixture
async def migrated(database: TestDatabase) -> TestDatabase:
    """Every service's schema as the service itself makes it."""
    for name in OWNERS:
        folder = Path(bedside_cloud.__file__).parent / name / "schema"
        async with Database.open(database.settings(name), (folder,) if folder.exists() else ()):
            pass
    return database


@contextmanager
def connected(database: TestDatabase, name: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.settings(name).dsn.reveal(), autocommit=True) as connection:
        yield connection


def tables(database: TestDatabase) -> dict[str, list[str]]:
    """Schema → its tables."""
    found: dict[str, list[str]] = {schema: [] for schema in SCHEMAS.values()}
    with psycopg.connect(database.superuser_dsn) as connection:
        for schema, table in connection.execute("SELECT schemaname, tablename FROM pg_tables"):
            if schema in found:
                found[schema].append(table)
    return found


def refused(connection: psycopg.Connection, statement: str) -> bool:
    try:
        connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


async def test_a_service_reads_and_changes_its_own_tables_and_no_others(migrated: TestDatabase) -> None:
    held = tables(migrated)
    assert all(held.values())
    for name in OWNERS:
        with connected(migrated, name) as connection:
            for schema, names in held.items():
                statements = [f"TABLE {schema}.{table}" for table in names]
                if schema != SCHEMAS[name]:
                    statements += [f"DELETE FROM {schema}.{table}" for table in names]  # noqa: S608
                    statements += [f"INSERT INTO {schema}.{table} DEFAULT VALUES" for table in names]
                    statements += [f"DROP TABLE {schema}.{table}" for table in names]
                    statements += [f"CREATE TABLE {schema}.mine (one integer)", f"DROP SCHEMA {schema} CASCADE"]
                outcomes = {statement: refused(connection, statement) for statement in statements}
                foreign = schema != SCHEMAS[name]
                assert {statement for statement, was in outcomes.items() if was is not foreign} == set(), name


@pytest.mark.parametrize("name", OWNERS)
def test_a_service_reaches_nothing_outside_its_schema(database: TestDatabase, name: str) -> None:
    with connected(database, name) as connection:
        assert [statement for statement in REACHING_OUT if not refused(connection, statement)] == []


@pytest.mark.parametrize("name", OWNERS)
@pytest.mark.parametrize("elsewhere", ["postgres", "template1"])
def test_a_service_enters_no_other_database(database: TestDatabase, name: str, elsewhere: str) -> None:
    dsn = psycopg.conninfo.make_conninfo(database.settings(name).dsn.reveal(), dbname=elsewhere)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(dsn)


def test_the_command_line_has_no_role_of_its_own(database: TestDatabase) -> None:
    with psycopg.connect(database.superuser_dsn) as connection:
        rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY 1")
        assert [name for (name,) in rows] == sorted(OWNERS)
