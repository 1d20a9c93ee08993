"""Nothing readable lies on the disk; old keys open what they sealed; an older, open store is sealed at its opening."""

import shutil
from pathlib import Path

import pytest
from tests.support.clock import BOOT, NOON_MS
from tests.support.readings import alarm, event, reading

from bedside_agent.buffer.bundles import span
from bedside_agent.buffer.contents import Damaged, Group
from bedside_agent.buffer.database import Database
from bedside_agent.buffer.inspection import peek
from bedside_agent.buffer.key_file import FILE, rotate
from bedside_agent.buffer.sealing import Keyring
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.alarm import AlarmInput
from bedside_profiles.wire.events import EventField
from bedside_profiles.wire.topics import UpLane

STORE = "0" * 32
FROZEN = Path(__file__).parent / "frozen"
PLANTED = ("Erika-Mustermann", "C0:FF:EE:12:34:56", "+49 30 5550123")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "buffer.db"


def everything(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir() if file.name != FILE)


def test_no_planted_text_stands_in_the_data_directory(path: Path) -> None:
    name, address, number = PLANTED
    database = Database(path, STORE)
    database.commit(
        Group(
            readings=[reading(97.125, seq=seq, device_id=name, device_time=address) for seq in range(1, 200)],
            alarms=[
                alarm(seq=1, condition=name, inputs=(AlarmInput(alarm().metric or reading().metric, 81.5, NOON_MS),))
            ],
            events=[event(seq=1, fields=(EventField("reason", address),))],
            state={"alarms.plan": number.encode()},
        )
    )
    with_log = everything(path.parent)
    database.close()
    for found in (with_log, everything(path.parent)):
        for planted in (*PLANTED, BOOT, "81.5", "spo2"):
            assert planted.encode() not in found


def test_a_sealed_row_opens_only_with_its_key_and_in_its_place() -> None:
    keyring = Keyring({1: b"1" * 32, 2: b"2" * 32})
    sealed = keyring.seal(b"text", b"here")
    assert keyring.unseal(sealed, b"here") == b"text"
    assert keyring.seal(b"text", b"here") != sealed, "a fresh nonce each time"
    changed = bytes([*sealed[:-1], sealed[-1] ^ 1])
    for bad, about in ((sealed, b"there"), (changed, b"here"), (b"", b"here"), (sealed[:5], b"here")):
        with pytest.raises(MalformedError):
            keyring.unseal(bad, about)
    with pytest.raises(MalformedError):
        Keyring({1: b"1" * 32}).unseal(sealed, b"here")


def test_a_new_key_seals_and_the_old_one_still_opens(path: Path) -> None:
    first = Database(path, STORE)
    first.commit(Group(readings=[reading(seq=1)], state={"a": b"1"}))
    first.close()
    before = path.with_name(FILE).read_text()
    assert rotate(path) == 2
    assert path.with_name(FILE).stat().st_mode & 0o777 == 0o600
    second = Database(path, "1" * 32)
    second.commit(Group(readings=[reading(seq=1)]))
    assert second.state() == {"a": b"1"}
    assert [one for number in (1, 2) for one in second.fetch(number, UpLane.READINGS, 1, 9, 9)] == [reading(seq=1)] * 2
    second.close()
    path.with_name(FILE).write_text(before)
    with_the_old_key = Database(path, "2" * 32)
    assert with_the_old_key.fetch(2, UpLane.READINGS, 1, 1, 9) == (Damaged(1),)
    with_the_old_key.close()


def test_an_open_store_of_schema_1_is_sealed_with_all_it_holds(path: Path) -> None:
    path.parent.mkdir()
    shutil.copy(FROZEN / "schema_0001.db", path)
    assert b"oximeter-1" in path.read_bytes()
    database = Database(path, STORE)
    kept = {(one.store_id, one.lane): one for one in database.kept()}
    old, second = kept["a" * 32, UpLane.READINGS], kept["b" * 32, UpLane.READINGS]
    assert (old.first, old.last, old.settled, old.marks[0].last_seq) == (1, 2, ((1, 1),), 2)
    assert database.fetch(old.number, UpLane.READINGS, 1, 9, 9) == (
        reading(97.0, seq=1),
        reading(96.5, seq=2, device_id="cuff-1", group=2),
    )
    assert database.fetch(old.number, UpLane.ALARMS, 1, 9, 9) == (alarm(seq=1),)
    assert database.fetch(old.number, UpLane.EVENTS, 1, 9, 9) == (event(seq=1),)
    rows = database.fetch(second.number, UpLane.READINGS, 1, 999, 999)
    assert [span(one)[0] for one in rows if not isinstance(one, Damaged)] == list(range(1, 301))
    assert database.state()["alarms.plan"] == b"a plan"
    database.close()
    assert peek(path) == {"alarms": 1, "readings": 302, "events": 1, "waveforms": 0}
    for planted in (b"oximeter-1", b"cuff-1", b"a plan", BOOT.encode(), b"spo2_low"):
        assert planted not in everything(path.parent)
