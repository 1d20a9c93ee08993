"""A backup as one file: a tar with a manifest, the database's dump, and what the cloud is besides (keys, ports).

It holds every secret of the installation, so its mode is 0600 and it belongs where the secrets belong.
"""

import hashlib
import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bedside_cloud.errors import OperatorError

SCHEMA = 1
MANIFEST, DUMP, STATE_PREFIX = "manifest.json", "database.dump", "state/"
STATE_PARTS = ("cloud.json", "secrets.json", "certificates")
"""What of the state directory is kept. Not kept: the broker's store (hubs send again what has no receipt), the bus
users' seed files (they stand in secrets.json), logs, and services' scratch folders."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`ca_sha256` tells installations apart; `dump_sha256` tells a whole dump from a torn one."""

    schema: int
    made_at: str
    version: str
    ca_sha256: str
    dump_sha256: str


def write_archive(path: Path, dump: Path, state: Path, made_at: str, version: str, ca_sha256: str) -> None:
    """Write the backup beside its place and move it there whole."""
    manifest = Manifest(SCHEMA, made_at, version, ca_sha256, _sha256(dump))
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            body = json.dumps(asdict(manifest), indent=2).encode()
            entry = tarfile.TarInfo(MANIFEST)
            entry.size, entry.mode = len(body), 0o600
            tar.addfile(entry, io.BytesIO(body))
            tar.add(dump, DUMP)
            for part in STATE_PARTS:
                tar.add(state / part, STATE_PREFIX + part)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_archive(path: Path, into: Path) -> Manifest:
    """Unpack the backup below `into` and check it; OperatorError when it is not a whole backup of ours."""
    try:
        with tarfile.open(path) as tar:
            # The filter refuses whatever would be written outside of `into`.
            tar.extractall(into, filter="data")
        manifest = Manifest(**json.loads((into / MANIFEST).read_text(encoding="utf-8")))
    except FileNotFoundError as cause:
        raise OperatorError(
            f"There is no whole backup in {path}.", "The file or a part of it is missing.", ""
        ) from cause
    except (tarfile.TarError, ValueError, TypeError, OSError) as cause:
        raise _damaged(path, str(cause)) from cause
    if manifest.schema != SCHEMA:
        raise OperatorError(
            f"{path} was made by another version of bedside-cloud.",
            f"It has schema {manifest.schema}, this program knows {SCHEMA}.",
            "Restore it with the version that made it.",
        )
    if not (into / DUMP).exists() or _sha256(into / DUMP) != manifest.dump_sha256:
        raise _damaged(path, "the database's dump is not the one that was written")
    return manifest


def _damaged(path: Path, how: str) -> OperatorError:
    return OperatorError(f"{path} is no backup, or a damaged one.", f"Because: {how}.", "Use another backup.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
