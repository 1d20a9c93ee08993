"""`bedside-cloud backup` and `restore`.

A backup is consistent and may be made while everything runs. A restore happens while nothing runs, and gives the
database a new generation: every hub then offers again what it still holds, so that nothing since the backup is lost.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.engines.certificates.authority import fingerprint
from bedside_cloud.engines.postgres import Postgres, ensure_roles, new_generation, run_tool, swap_database
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.archive import DUMP, STATE_PARTS, read_archive, write_archive
from bedside_cloud.operator_tools.options import StateOption
from bedside_cloud.operator_tools.printing import say
from bedside_cloud.settings import DEFAULT_STATE
from bedside_cloud.supervisor.state import State, is_running, locked


def backup_command(
    file: Annotated[Path, typer.Argument(help="The file to write.")], state: StateOption = DEFAULT_STATE
) -> None:
    """Write everything that cannot be made again into one file; the cloud may be running.

    Example: bedside-cloud backup /backups/2026-03-01.bedside
    """
    backup(state.absolute(), file.absolute())
    say(f"{file} holds the database, the certificates and all secrets: keep it as safe as the cloud itself.")


def restore_command(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.", exists=True)],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Put the database back to what it was; the cloud must be stopped. Hubs then send again what they hold.

    Example: bedside-cloud restore /backups/2026-03-01.bedside
    """
    generation = restore(state.absolute(), file.absolute())
    say(f"Restored. The database's generation is now {generation}. Start the cloud: bedside-cloud up --state {state}")


def backup(directory: Path, file: Path) -> None:
    """Dump the database of the running cloud, or of a stopped one, and pack it with the state's keys."""
    state = State.open(directory)
    with tempfile.TemporaryDirectory(prefix="backup-", dir=file.parent) as folder:
        dump = Path(folder) / DUMP
        if is_running(directory):
            _dump(state.postgres, dump)
        else:
            with locked(directory, "A backup"), _running(state.postgres):
                _dump(state.postgres, dump)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_archive(file, dump, directory, made_at, version("bedside"), fingerprint(state.certificates.root()))


def restore(directory: Path, file: Path) -> str:
    """Replace the database by the backup's; the new generation. Until the very end the old one stands."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(directory, "A restore"), tempfile.TemporaryDirectory(prefix="restore-", dir=directory) as folder:
        unpacked = Path(folder)
        manifest = read_archive(file, unpacked)
        if not (directory / "cloud.json").exists():
            _take_over(unpacked / "state", directory)
        state = State.make(directory)
        if fingerprint(state.certificates.root()) != manifest.ca_sha256:
            raise OperatorError(
                "This backup belongs to another installation.",
                "Its hubs trust another root certificate.",
                "Restore it into an empty folder: --state NEW",
            )
        postgres = state.postgres
        with _running(postgres):
            postgres.provision(SERVICES, state.database_passwords)
            ensure_roles(postgres.dsn(), SERVICES, state.database_passwords)
            return _load(postgres, unpacked / DUMP)


def _take_over(source: Path, directory: Path) -> None:
    """Keys and ports of the backup into an empty state directory; `cloud.json` last, it says that all is there."""
    for part in reversed(STATE_PARTS):
        kept = source / part
        if kept.is_dir():
            shutil.copytree(kept, directory / part, dirs_exist_ok=True)
        else:
            shutil.copy2(kept, directory / part)


def _dump(postgres: Postgres, dump: Path) -> None:
    run_tool(
        "pg_dump",
        ["--format=custom", "--compress=gzip:1", f"--file={dump}", f"--dbname={postgres.dsn(password='')}"],
        environment={"PGPASSWORD": postgres.password.reveal()},
    )
    dump.chmod(0o600)


def _load(postgres: Postgres, dump: Path) -> str:
    with swap_database(postgres) as (name, dsn):
        target = f"--dbname={postgres.dsn(password='', database=name)}"
        run_tool(
            "pg_restore",
            ["--exit-on-error", "--single-transaction", target, str(dump)],
            environment={"PGPASSWORD": postgres.password.reveal()},
        )
        return new_generation(dsn)


@contextmanager
def _running(postgres: Postgres) -> Iterator[None]:
    """The server for the length of the block, when no `up` runs it."""
    postgres.prepare()
    process = subprocess.Popen(
        postgres.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", env=dict(os.environ)
    )
    try:
        postgres.wait_until_it_answers()
        yield
    finally:
        process.send_signal(2)
        process.wait(60)
