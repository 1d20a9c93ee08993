"""The keys' file, open and sealed under systemd's credential: what can be read stays readable, whatever is missing."""

import errno
import os
import secrets
import threading
from pathlib import Path

import pytest
from tests.support.readings import reading

from bedside_agent.buffer import key_file, wrapping
from bedside_agent.buffer.contents import Group
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.inspection import peek
from bedside_agent.buffer.key_file import FILE, add_key, check_keys, open_keyring, rotate, seal_open_file
from bedside_agent.buffer.wrapping import CREDENTIAL
from bedside_agent.errors import StoreError
from bedside_profiles.wire.topics import UpLane

STORE = "0" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "buffer.db"


class Credentials:
    """What systemd hands over: a folder that the environment names."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / CREDENTIAL
        folder.mkdir()
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))

    def give(self, text: str) -> None:
        self._file.write_text(text)

    def take_away(self) -> None:
        self._file.unlink()


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    return Credentials(tmp_path / "credentials", monkeypatch)


def stored(path: Path, store_id: str = STORE) -> None:
    """A start of the agent that commits one reading."""
    database = Database(path, store_id)
    database.commit(Group(readings=[reading(seq=1)]))
    database.close()


def state_of(path: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in path.parent.iterdir() if one.name != "buffer.db.lock"}


def test_a_new_hub_with_a_credential_never_has_an_open_key(path: Path, credentials: Credentials) -> None:
    credentials.give(secrets.token_hex(32))
    stored(path)
    text = path.with_name(FILE).read_text()
    (key,) = open_keyring(path).keys.values()
    assert text.startswith("sealed ")
    assert key.hex() not in text
    assert path.with_name(FILE).stat().st_mode & 0o777 == 0o600


def test_an_open_file_is_sealed_at_the_next_start_and_everything_stays_readable(
    path: Path, credentials: Credentials
) -> None:
    stored(path)
    before = open_keyring(path).keys
    assert path.with_name(FILE).read_text().startswith("1 ")
    credentials.give(secrets.token_hex(32))
    stored(path, "1" * 32)
    text = path.with_name(FILE).read_text()
    keys = open_keyring(path).keys
    assert text.startswith("sealed ")
    assert keys[1] == before[1]
    assert set(keys) == {1, 2}, "what is written from now on is under a key that never lay open"
    again = Database(path, "2" * 32)
    assert [one for number in (1, 2) for one in again.fetch(number, UpLane.READINGS, 1, 9, 9)] == [reading(seq=1)] * 2
    again.close()
    assert set(open_keyring(path).keys) == {1, 2}, "it is sealed once"


def test_a_rotation_stays_sealed(path: Path, credentials: Credentials) -> None:
    credentials.give(secrets.token_hex(32))
    stored(path)
    assert rotate(path) == 2
    assert path.with_name(FILE).read_text().startswith("sealed ")
    stored(path, "1" * 32)
    assert peek(path)["readings"] == 2


def test_without_its_credential_nothing_is_touched_and_one_sentence_says_what_to_do(
    path: Path, credentials: Credentials
) -> None:
    credentials.give(secrets.token_hex(32))
    stored(path)
    credentials.take_away()
    before = state_of(path)
    for attempt in (lambda: Database(path, "1" * 32), lambda: peek(path), lambda: rotate(path)):
        with pytest.raises(StoreError, match=r"buffer\.key is sealed") as refused:
            attempt()
        assert "/etc/credstore.encrypted/bedside.buffer-key was removed" in refused.value.cause
        assert "systemd-run" in refused.value.fix
    check_keys(path)
    assert state_of(path) == before


def test_a_wrong_credential_is_refused_and_nothing_is_touched(path: Path, credentials: Credentials) -> None:
    right = secrets.token_hex(32)
    credentials.give(right)
    stored(path)
    before = state_of(path)
    for text, sentence in ((secrets.token_hex(32), "does not open with the credential"), ("rubbish", "is no key")):
        credentials.give(text)
        for attempt in (lambda: Database(path, "1" * 32), lambda: rotate(path), lambda: check_keys(path)):
            with pytest.raises(StoreError, match=sentence):
                attempt()
        assert state_of(path) == before
    credentials.give(right)
    check_keys(path)
    assert peek(path)["readings"] == 1


def test_a_hub_with_an_open_file_goes_on_whatever_is_wrong_with_its_credential(
    path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(path)
    credentials.give("rubbish")
    stored(path, "1" * 32)
    credentials.give(secrets.token_hex(32))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(key_file, "write_whole", full)
        stored(path, "2" * 32)
    assert path.with_name(FILE).read_text().startswith("1 ")
    assert peek(path)["readings"] == 3
    assert seal_open_file(path)


def test_a_technicians_command_finds_the_credential_of_the_running_service(
    path: Path, credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials.give(secrets.token_hex(32))
    stored(path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(StoreError, match="is sealed"):
        peek(path)
    monkeypatch.setattr(wrapping, "SERVICE", tmp_path / "credentials")
    assert peek(path)["readings"] == 1


def test_without_the_file_no_new_key_is_made_for_a_store_that_holds_something(
    path: Path, credentials: Credentials
) -> None:
    credentials.give(secrets.token_hex(32))
    stored(path)
    path.with_name(FILE).unlink()
    with pytest.raises(StoreError, match="key of the buffer is missing"):
        Database(path, "1" * 32)
    assert not path.with_name(FILE).exists()


@pytest.mark.parametrize(
    "text", ["", "1 abc\n", "0 " + "a" * 64, "1 " + "a" * 64 + "\nrubbish\n", "sealed \n", "sealed-2 aa\n"]
)
def test_a_damaged_file_of_keys_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.with_name(FILE).write_text(text)
    for attempt in (open_keyring, check_keys):
        with pytest.raises(StoreError, match="no file of keys"):
            attempt(path)
    assert path.with_name(FILE).read_text() == text


def test_two_who_add_a_key_at_the_same_time_lose_none(path: Path) -> None:
    file = path.with_name(FILE)
    made: list[bytes] = []

    def add() -> None:
        for _ in range(20):
            keys = add_key(file)
            made.append(keys[max(keys)])

    both = [threading.Thread(target=add) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(open_keyring(path).keys.values()) == sorted(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_a_key_that_root_adds_is_still_the_hubs_own(path: Path) -> None:
    path.parent.mkdir()
    os.chown(path.parent, 12345, 12346)
    add_key(path.with_name(FILE))
    found = path.with_name(FILE).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12346, 0o600)
