"""A version as one file, signed so that the hub's `openssl` believes it."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bedside_cloud.engines.certificates.release_key import release_signer
from bedside_cloud.errors import OperatorError
from bedside_cloud.operator_tools.bundles import new_key, pack, sign, signed
from bedside_profiles.release import read_release

ROOT = Path(__file__).parents[3]
PASSPHRASE = b"a passphrase of this test"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "bedside-1.2.0-py3-none-any.whl"
    path.write_bytes(b"the wheel")
    return path


def test_a_bundle_holds_what_the_hub_needs_and_is_the_same_each_time(wheel: Path, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    (house / "package.whl").write_bytes(b"a package")
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    for path in (one, two):
        pack(wheel, ROOT / "systemd", house, path)
    assert one.read_bytes() == two.read_bytes()
    with tarfile.open(one) as tar:
        entries = {entry.name: entry for entry in tar}
    assert {wheel.name, "systemd/install", "systemd/update", "systemd/agent.lock", "wheelhouse/package.whl"} <= set(
        entries
    )
    assert {name for name, entry in entries.items() if entry.mode == 0o755} >= {"systemd/install", "systemd/take-back"}
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 0)}


def test_what_is_signed_openssl_believes_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bedside.tar"
    pack(wheel, ROOT / "systemd", None, bundle)
    key = tmp_path / "release.key"
    public = new_key(key, PASSPHRASE)
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in key.read_bytes()
    sign(bundle, release_signer(key, PASSPHRASE), may_be_older=False)
    text, _ = signed(bundle)
    release = read_release(text)
    assert (release.version, release.may_be_older) == ("1.2.0", False)
    assert release.sha256 == hashlib.sha256(bundle.read_bytes()).hexdigest()

    def believed(manifest: Path) -> bool:
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", str(manifest)]
        files = [*command, "-sigfile", f"{bundle}.sig"]
        return subprocess.run(files, capture_output=True, check=False).returncode == 0

    assert believed(Path(f"{bundle}.manifest"))
    forged = tmp_path / "forged"
    forged.write_text(text.replace("older no", "older yes"))
    assert not believed(forged)


def test_what_is_missing_or_wrong_is_said(wheel: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bedside.tar"
    with pytest.raises(OperatorError, match="no wheel"):
        pack(tmp_path / "other.whl", ROOT / "systemd", None, bundle)
    half = tmp_path / "half"
    shutil.copytree(ROOT / "systemd", half)
    (half / "take-back").unlink()
    with pytest.raises(OperatorError, match="lacks take-back"):
        pack(wheel, half, None, bundle)
    pack(wheel, ROOT / "systemd", None, bundle)
    with pytest.raises(OperatorError, match="there already"):
        pack(wheel, ROOT / "systemd", None, bundle)
    with pytest.raises(OperatorError, match="is not signed"):
        signed(bundle)
    key = tmp_path / "release.key"
    new_key(key, PASSPHRASE)
    with pytest.raises(OperatorError, match="there already"):
        new_key(key, PASSPHRASE)
    with pytest.raises(OperatorError, match="does not open"):
        release_signer(key, b"another passphrase")
    with pytest.raises(OperatorError, match="cannot be read"):
        sign(wheel, release_signer(key, PASSPHRASE), may_be_older=False)
