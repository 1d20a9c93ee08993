"""What the script that runs as root believes on the way to an installation: real openssl, real files, a full disk.

What an installation then does is tried under systemd (`test_hub_under_systemd.py`): the bundles here hold an `install`
of this test, which says that it was reached and changes nothing. `runuser` is one of this test too: it goes on as
whoever runs it.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.small_disk import fill_up, small_disk

from bedside_cloud.engines.certificates.release_key import release_signer
from bedside_cloud.operator_tools import bundles

ROOT = Path(__file__).parents[2]
NUMBER = "00000000-0000-4000-8000-000000000001"
PASSPHRASE = b"a passphrase"
REACHED = "Error: this test goes no further"
RUNNING = "/opt/bedside/versions/1.1.0-abc"


@dataclass
class Desk:
    """A hub's folders without a hub."""

    folder: Path
    opt: Path

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    def put(self, version: str, *, may_be_older: bool = False) -> None:
        """A signed bundle of that version, and the request."""
        wheel, bundle = self.folder / f"bedside-{version}-py3-none-any.whl", self.folder / "bundle.tar"
        wheel.write_bytes(b"the wheel")
        systemd = shutil.copytree(ROOT / "systemd", self.folder / "systemd")
        (systemd / "install").write_text(f"#!/bin/sh\necho '{REACHED}' >&2\nexit 1\n")
        bundles.pack(wheel, systemd, None, bundle)
        signer = release_signer(self.folder / "release.key", PASSPHRASE)
        bundles.sign(bundle, signer, may_be_older=may_be_older)
        for name, path in (
            ("bundle", bundle),
            ("manifest", Path(f"{bundle}{bundles.MANIFEST}")),
            ("signature", Path(f"{bundle}{bundles.SIGNATURE}")),
        ):
            (self.inbox / name).write_bytes(path.read_bytes())
        (self.inbox / "number").write_text(NUMBER)
        self.ask()

    def ask(self) -> None:
        (self.folder / "run/requests/update").touch()

    def answer(self) -> str:
        """What the script writes; empty for nothing. The request is gone in any case."""
        environment = {
            "PATH": f"{self.folder / 'programs'}:{os.environ['PATH']}",
            "BEDSIDE_RUN": str(self.folder / "run"),
            "BEDSIDE_INBOX": str(self.inbox),
            "BEDSIDE_OPT": str(self.opt),
            "BEDSIDE_RELEASE_KEY": str(self.folder / "release.pub"),
        }
        subprocess.run([ROOT / "systemd/update"], env=environment, capture_output=True, check=True)
        assert not (self.folder / "run/requests/update").exists()
        result = self.opt / "update/result"
        return result.read_text() if result.exists() else ""

    def changed_nothing(self) -> bool:
        return (self.opt / "current").readlink() == Path(RUNNING) and not (self.opt / "update/trying").exists()


def desk_in(folder: Path, opt: Path) -> Desk:
    for name in ("inbox", "run/requests", "programs"):
        (folder / name).mkdir(parents=True)
    runuser = folder / "programs/runuser"
    runuser.write_text('#!/bin/sh\nshift 3\nexec "$@"\n')
    runuser.chmod(0o755)
    bundles.new_key(folder / "release.key", PASSPHRASE)
    (opt / "current").symlink_to(RUNNING)
    return Desk(folder, opt)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    opt = tmp_path / "opt"
    opt.mkdir()
    return desk_in(tmp_path / "hub", opt)


def refused(reason: str) -> str:
    return f"number {NUMBER}\noutcome refused\nreason {reason}\n"


def test_nothing_that_was_not_asked_for_is_done(desk: Desk) -> None:
    assert desk.answer() == ""
    desk.ask()
    assert desk.answer() == "", "a request without a number has nobody to be answered"
    assert desk.changed_nothing()


@pytest.mark.parametrize("name", ["manifest", "signature"])
def test_what_the_key_has_not_signed_is_refused_and_nothing_of_it_stays(desk: Desk, name: str) -> None:
    desk.put("1.2.0")
    file = desk.inbox / name
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    assert desk.answer() == refused("this hub's release key has not signed it")
    assert desk.changed_nothing()
    assert list(desk.inbox.iterdir()) == []
    assert {path.name for path in (desk.opt / "update").iterdir()} == {"result"}


def test_another_bundle_than_the_signed_one_is_refused(desk: Desk) -> None:
    desk.put("1.2.0")
    content = (desk.inbox / "bundle").read_bytes()
    (desk.inbox / "bundle").write_bytes(content[:-1] + b"x")
    assert desk.answer() == refused("the bundle is not the one that was signed")
    assert desk.changed_nothing()


def test_a_link_to_what_only_root_may_read_shows_nothing(desk: Desk) -> None:
    desk.put("1.2.0")
    (desk.inbox / "bundle").unlink()
    (desk.inbox / "bundle").symlink_to(desk.folder / "nothing-there")
    assert desk.answer() == refused("the bundle cannot be read, or the disk is full")


def test_another_signed_text_is_no_release(desk: Desk) -> None:
    desk.put("1.2.0")
    other = b"bedside-signed-document-v1: another thing\n"
    (desk.inbox / "manifest").write_bytes(other)
    (desk.inbox / "signature").write_bytes(release_signer(desk.folder / "release.key", PASSPHRASE)(other))
    assert desk.answer() == refused("what is signed is no release")


@pytest.mark.parametrize(
    ("version", "may_be_older", "goes_on"),
    [("1.0.9", False, False), ("1.0.9", True, True), ("1.1.0", False, True), ("1.10.0", False, True)],
)
def test_an_older_version_needs_to_be_signed_for_going_back(
    desk: Desk, version: str, may_be_older: bool, goes_on: bool
) -> None:
    desk.put(version, may_be_older=may_be_older)
    older = f"version {version} is older than 1.1.0, and not signed for going back"
    assert desk.answer() == refused(REACHED if goes_on else older)
    assert desk.changed_nothing()


def test_without_a_key_nobody_may(desk: Desk) -> None:
    desk.put("1.2.0")
    (desk.folder / "release.pub").unlink()
    assert "no release key is installed" in desk.answer()


def test_a_disk_without_room_is_left_alone_and_the_answer_still_finds_some(tmp_path: Path) -> None:
    with small_disk(tmp_path, 8) as disk:
        desk = desk_in(tmp_path / "hub", disk)
        desk.put("1.2.0")
        assert "there is no room for it on the disk" in desk.answer()
        assert desk.changed_nothing()
        assert list(desk.inbox.iterdir()) == []


def test_a_power_cut_in_the_installation_is_answered_on_a_disk_that_is_full(tmp_path: Path) -> None:
    """What was unpacked makes room for the answer."""
    with small_disk(tmp_path, 8) as disk:
        desk = desk_in(tmp_path / "hub", disk)
        (disk / "update/tree").mkdir(parents=True)
        (disk / "update/tree/part").write_bytes(bytes(2_000_000))
        (disk / "update/trying").write_text(f"number {NUMBER}\nprevious {RUNNING}\n")
        fill_up(disk)
        assert desk.answer() == refused("the installation was cut off: give it again")
        assert desk.changed_nothing()
