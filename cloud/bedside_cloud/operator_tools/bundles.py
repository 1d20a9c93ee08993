"""A version of the hub's software as one file, and its signature. Needs no cloud: the release key stays offline."""

import hashlib
import os
import re
import tarfile
from pathlib import Path

from bedside_cloud.engines.certificates.release_key import Sign, new_release_key
from bedside_cloud.errors import OperatorError
from bedside_profiles.errors import MalformedError
from bedside_profiles.release import Release, release_text

MANIFEST, SIGNATURE = ".manifest", ".sig"
"""What is put behind the bundle's name."""

_WHEEL = re.compile(r"bedside-([0-9][0-9.]*)-.*\.whl")
NEEDED = ("install", "update", "take-back", "bedside-agent.service", "agent.lock")


def pack(wheel: Path, systemd: Path, wheelhouse: Path | None, output: Path) -> int:
    """Write the bundle; its size in bytes. The same files give the same bytes. OperatorError when one is missing."""
    if _WHEEL.fullmatch(wheel.name) is None or not wheel.is_file():
        raise OperatorError(f"{wheel} is no wheel of Bedside.", "", "Build one: python3 -m hatchling build -t wheel")
    missing = [name for name in NEEDED if not (systemd / name).is_file()]
    if missing:
        raise OperatorError(f"{systemd} lacks {', '.join(missing)}.", "", "Take wheel and systemd/ from one release.")
    wanted = [(wheel, wheel.name), *_below(systemd, "systemd")]
    if wheelhouse is not None:
        wanted += _below(wheelhouse, "wheelhouse")
    _check_new(output)
    with tarfile.open(output, "x", format=tarfile.USTAR_FORMAT) as tar:
        for path, name in wanted:
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return output.stat().st_size


def version_in(bundle: Path) -> str:
    """The version of the wheel in a bundle."""
    try:
        with tarfile.open(bundle, "r:") as tar:
            found = [match[1] for name in tar.getnames() if (match := _WHEEL.fullmatch(name))]
    except (OSError, tarfile.TarError) as cause:
        raise OperatorError(
            f"{bundle} cannot be read.", str(cause), "Make it: bedside-cloud fleet version pack"
        ) from cause
    if len(found) != 1:
        raise OperatorError(f"{bundle} is no bundle.", "It holds no wheel, or several.", "Make it: fleet version pack")
    return found[0]


def sign(bundle: Path, signed_by: Sign, *, may_be_older: bool) -> Release:
    """Write manifest and signature beside the bundle."""
    with bundle.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    release = Release(version_in(bundle), digest, bundle.stat().st_size, may_be_older)
    try:
        text = release_text(release).encode()
    except MalformedError as wrong:
        raise OperatorError(
            "That version cannot be signed.", wrong.reason, "Versions are numbers: 1.2.0; bundles up to 256 MiB."
        ) from wrong
    _beside(bundle, MANIFEST).write_bytes(text)
    _beside(bundle, SIGNATURE).write_bytes(signed_by(text))
    return release


def signed(bundle: Path) -> tuple[str, bytes]:
    """Manifest and signature of a bundle."""
    try:
        return _beside(bundle, MANIFEST).read_text(), _beside(bundle, SIGNATURE).read_bytes()
    except OSError as cause:
        raise OperatorError(
            f"{bundle} is not signed.", f"{cause.filename} is missing.", "Sign it: bedside-cloud fleet version sign"
        ) from cause


def new_key(path: Path, passphrase: bytes) -> Path:
    """Make a release key, encrypted; the file of its public half, which hubs are given."""
    public = path.with_suffix(".pub")
    _check_new(path)
    _check_new(public)
    public.write_bytes(new_release_key(path, passphrase))
    return public


def _below(folder: Path, name: str) -> list[tuple[Path, str]]:
    return [(path, f"{name}/{path.name}") for path in sorted(folder.iterdir()) if path.is_file()]


def _beside(bundle: Path, ending: str) -> Path:
    return bundle.with_name(bundle.name + ending)


def _check_new(path: Path) -> None:
    if path.exists():
        raise OperatorError(f"{path} is there already.", "Nothing is overwritten.", "Give another name.")
