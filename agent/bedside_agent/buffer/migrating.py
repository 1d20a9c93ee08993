"""Bringing an older store's file to today's schema, one migration a transaction; a newer one is refused."""

from bedside_agent.buffer.bundles import about
from bedside_agent.buffer.contents import STORE_STEP
from bedside_agent.buffer.legacy import convert
from bedside_agent.buffer.queries import migrations
from bedside_agent.buffer.sealing import Keyring
from bedside_agent.buffer.sqlite_file import SqliteFile, statements
from bedside_agent.errors import NewerStoreError
from bedside_profiles.wire.topics import UpLane

APPLICATION_ID = 0x42454453
SEALED_SCHEMA = 2
CONVERTED_ROWS = 5_000
UNSEALED = (UpLane.ALARMS, UpLane.READINGS, UpLane.EVENTS)
"""The lanes of schema 1."""


def check_schema(file: SqliteFile) -> None:
    """NewerStoreError when a newer agent has written the file."""
    found = file.pragma("user_version")
    known = migrations()[-1][0]
    if found > known:
        raise NewerStoreError(found, known)


def migrate(file: SqliteFile, keyring: Keyring) -> None:
    """Run the migrations that the file has not seen; NewerStoreError, and nothing is touched, when it knows more."""
    check_schema(file)
    found = file.pragma("user_version")
    for number, script in migrations():
        if number <= found:
            continue
        sealing = number == SEALED_SCHEMA and found > 0
        if sealing:
            # Else what was written in the clear would stay readable in pages that hold nothing any more.
            file.execute("PRAGMA secure_delete = ON")
        file.execute("BEGIN EXCLUSIVE")
        try:
            if sealing:
                _seal_all(file, keyring)
            for statement in statements(script):
                file.execute(statement)
            file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            file.execute(f"PRAGMA user_version = {number}")
            file.execute("COMMIT")
        except BaseException:
            file.execute("ROLLBACK")
            raise
        if sealing:
            file.execute("PRAGMA secure_delete = OFF")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _seal_all(file: SqliteFile, keyring: Keyring) -> None:
    """Write every row of schema 1 anew, inside the migration's transaction."""
    names: dict[int, str] = dict(file.execute("SELECT number, name FROM names"))
    stores: dict[int, str] = dict(file.execute("SELECT number, store_id FROM stores"))
    for lane in UNSEALED:
        for number in stores:
            at, end = number * STORE_STEP - 1, (number + 1) * STORE_STEP
            while True:
                part = file.run(f"walk_{lane.value}", {"item": at, "rows": CONVERTED_ROWS}).fetchall()
                part = [row for row in part if row[0] < end]
                if not part:
                    break
                file.run_many(f"delete_{lane.value}", [(key,) for key, _ in part])
                rows = [
                    (key, keyring.seal(plain, about(lane, key))) for key, plain in convert(lane, part, stores, names)
                ]
                file.run_many(f"add_{lane.value}", rows)
                at = part[-1][0]
    for name, value in file.run("all_state").fetchall():
        file.run("put_state", {"name": name, "value": keyring.seal(value, name.encode())})
