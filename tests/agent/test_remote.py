"""What a technician elsewhere has the hub do: each ends, and says why when it cannot be done."""

import asyncio
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bedside_agent import remote, support_bundle
from bedside_agent.errors import EnrolmentError
from bedside_agent.remote import NO_JOURNAL, NOT_SUPERVISED, Remote, newest_that_fits
from bedside_agent.uplink.commands import CommandFailedError
from bedside_agent.uplink.renewal import Renewal
from bedside_profiles.wire.command import MOST_CONTENT_BYTES


class Renewed(Renewal):
    """Only counts, or fails."""

    def __init__(self, failure: EnrolmentError | None = None) -> None:
        self.times = 0
        self._failure = failure

    async def renew_now(self) -> None:
        self.times += 1
        if self._failure is not None:
            raise self._failure


def hub(
    state: Path, renewal: Renewal | None = None, stop: Callable[[], None] = lambda: None, **variables: str
) -> Remote:
    return Remote(state, renewal or Renewed(), stop, variables)


async def test_a_restart_comes_after_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "RESTART_SECONDS", 0.05)
    stopped = asyncio.Event()
    one = hub(tmp_path, stop=stopped.set, INVOCATION_ID="1")
    assert await one.actions()["restart"]() == b""
    assert not stopped.is_set()
    async with asyncio.timeout(5):
        await stopped.wait()


async def test_an_agent_that_nobody_would_start_again_is_not_ended(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=NOT_SUPERVISED):
        await hub(tmp_path, stop=lambda: pytest.fail("stopped")).restart()


async def test_a_key_is_rotated_or_it_is_said_why_not(tmp_path: Path) -> None:
    renewal = Renewed()
    assert await hub(tmp_path, renewal).rotate_key() == b""
    assert renewal.times == 1
    failing = Renewed(EnrolmentError("nobody answers", fix="look at the network", retry=True))
    with pytest.raises(CommandFailedError, match="nobody answers"):
        await hub(tmp_path, failing).rotate_key()


async def test_a_bundle_is_the_one_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('hub_id = "hub-0001"\nbroker_host = "broker.example"\n')
    content = await hub(tmp_path).collect_bundle()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = {Path(name).name for name in tar.getnames()}
    assert {"doctor.json", "machine.json", "hub.toml"} <= names


async def test_a_bundle_that_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BUNDLE_SECONDS", 0.01)
    with pytest.raises(CommandFailedError, match="more than"):
        await hub(tmp_path).collect_bundle()


async def test_logs_are_the_journal_or_it_is_said_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        vars(support_bundle), "said_by", lambda command: b"a line\n" if "journalctl" in command else None
    )
    assert gzip.decompress(await hub(tmp_path).pull_logs()) == b"a line\n"
    monkeypatch.setattr(support_bundle, "said_by", lambda command: None)
    with pytest.raises(CommandFailedError, match=NO_JOURNAL):
        await hub(tmp_path).pull_logs()


def test_a_long_journal_loses_its_oldest_lines() -> None:
    lines = [f"{number} {number * 7919 % 104729:06d}" for number in range(200_000)]
    packed = newest_that_fits("\n".join(lines).encode(), MOST_CONTENT_BYTES)
    assert len(packed) <= MOST_CONTENT_BYTES
    kept = gzip.decompress(packed).decode().split("\n")
    assert kept == lines[-len(kept) :]
    assert len(packed) > MOST_CONTENT_BYTES / 3


def test_one_endless_line_fits_too() -> None:
    noise = bytes(place * place * 31 % 251 for place in range(2_000_000))
    assert len(newest_that_fits(noise, 1000)) <= 1000


def test_a_large_bundle_keeps_every_file_and_loses_old_lines_of_the_longest() -> None:
    journal = "\n".join(f"{number} {number * 7919 % 104729:06d}" for number in range(100_000)).encode()
    whole = support_bundle.archive([("doctor.json", b"[]"), ("journal.txt", journal)], 1_790_000_000)
    assert support_bundle.fitting(whole, len(whole)) == whole
    fitted = support_bundle.fitting(whole, len(whole) // 3)
    assert len(fitted) <= len(whole) // 3
    with tarfile.open(fileobj=io.BytesIO(fitted)) as tar:
        found = {Path(one.name).name: file.read() for one in tar if (file := tar.extractfile(one)) is not None}
    assert found["doctor.json"] == b"[]"
    assert journal.endswith(found["journal.txt"])
    assert found["journal.txt"]
