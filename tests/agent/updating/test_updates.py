"""From the command to the system's answer: fetched over TLS, whole or not at all, and told once it is over."""

import asyncio
import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.readings import HUB

from bedside_agent.radio.mending import System
from bedside_agent.updating import fetching, updates
from bedside_agent.updating.fetching import FetchError, fetch
from bedside_agent.updating.updates import NO_INSTALLER, NOT_SIGNED, UPDATE, WORKS, Updates
from bedside_agent.uplink import est
from bedside_profiles.release import Release, release_text
from bedside_profiles.wire.command import Command
from bedside_profiles.wire.events import EventField
from bedside_profiles.wire.kinds import SCHEMA_VERSION

BUNDLE = bytes(range(256)) * 2000
RELEASE = Release("1.2.0", hashlib.sha256(BUNDLE).hexdigest(), len(BUNDLE))
NUMBER = "00000000-0000-4000-8000-000000000001"


@dataclass
class Depot:
    """Serves the bundle; `cut_after` bytes the connection ends, `status` replaces the answer."""

    port: int = 0
    content: bytes = BUNDLE
    cut_after: int | None = None
    status: int | None = None
    knows_ranges: bool = True
    ranges: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


CA = certificates.Authority()


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with serving(tmp_path) as one:
        yield one


@contextmanager
def serving(folder: Path) -> Iterator[Depot]:
    depot = Depot()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            depot.ranges.append(self.headers["range"])
            if depot.status is not None or self.path != f"/updates/{RELEASE.sha256}":
                self.send_error(depot.status or 404)
                return
            at = int(self.headers["range"].removeprefix("bytes=").removesuffix("-")) if depot.knows_ranges else 0
            rest = depot.content[at:]
            self.send_response(206 if at else 200)
            self.send_header("content-length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest if depot.cut_after is None else rest[: depot.cut_after])

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    context = CA.server_context(folder, CA.leaf("est"))

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A stranger who hangs up."""

    with Server(("127.0.0.1", 0), Handler) as http:
        # The handshake comes with the first byte, in the request's own thread, which closes what fails.
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        depot.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield depot
        finally:
            http.shutdown()
            thread.join()


def context() -> ssl.SSLContext:
    return est.server_context(CA.root.der, None)


def test_a_bundle_that_breaks_off_goes_on_where_it_ended(depot: Depot, tmp_path: Path) -> None:
    to = tmp_path / "bundle"
    depot.cut_after = 100_000
    for _ in range(2):
        with pytest.raises(FetchError) as broken:
            fetch(depot.url, context(), RELEASE, to)
        assert broken.value.retry
        assert not to.exists()
    depot.cut_after = None
    fetch(depot.url, context(), RELEASE, to)
    assert to.read_bytes() == BUNDLE
    assert depot.ranges == ["bytes=0-", "bytes=100000-", "bytes=200000-"]
    fetch(depot.url, context(), RELEASE, to)
    assert len(depot.ranges) == 3, "one that is there is not fetched again"


def test_a_server_without_ranges_is_read_from_the_first_byte(depot: Depot, tmp_path: Path) -> None:
    depot.cut_after = 1000
    with pytest.raises(FetchError):
        fetch(depot.url, context(), RELEASE, tmp_path / "bundle")
    depot.cut_after, depot.knows_ranges = None, False
    fetch(depot.url, context(), RELEASE, tmp_path / "bundle")
    assert (tmp_path / "bundle").read_bytes() == BUNDLE


def test_other_bytes_than_the_signed_ones_are_thrown_away(depot: Depot, tmp_path: Path) -> None:
    depot.content = b"x" + BUNDLE[1:]
    with pytest.raises(FetchError, match="not the bundle that was signed"):
        fetch(depot.url, context(), RELEASE, tmp_path / "bundle")
    assert not list(tmp_path.glob("bundle*"))


def test_what_cannot_go_better_is_final(depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depot.status = 404
    with pytest.raises(FetchError, match="does not have") as missing:
        fetch(depot.url, context(), RELEASE, tmp_path / "bundle")
    monkeypatch.setattr(fetching, "SPARE_BYTES", 1 << 60)
    with pytest.raises(FetchError, match="no room") as full:
        fetch(depot.url, context(), RELEASE, tmp_path / "bundle")
    assert (missing.value.retry, full.value.retry) == (False, False)


def test_a_stranger_is_given_nothing(depot: Depot, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot be fetched"):
        fetch(depot.url, est.server_context(certificates.Authority().root.der, None), RELEASE, tmp_path / "bundle")
    assert depot.ranges == []


def command(**fields: str) -> Command:
    named = {"manifest": release_text(RELEASE), "signature": base64.b64encode(b"s" * 64).decode(), **fields}
    pairs = [EventField(name, value) for name, value in named.items()]
    return Command(SCHEMA_VERSION, NUMBER, HUB, UPDATE, 1 << 40, (*pairs,))


@dataclass
class Bench:
    """A hub's folders and its `Updates`."""

    state: Path
    requests: Path
    system: Path
    url: str

    def updates(self) -> Updates:
        return Updates(self.state, self.url, context, System(self.requests), self.system, "/opt/bedside/versions/1.1-a")

    def says(self, name: str, **lines: str) -> None:
        (self.system / name).write_text("".join(f"{key} {value}\n" for key, value in lines.items()))


@pytest.fixture
def bench(depot: Depot, tmp_path: Path) -> Bench:
    one = Bench(tmp_path / "state", tmp_path / "run/requests", tmp_path / "system", depot.url)
    one.state.mkdir()
    one.system.mkdir()
    return one


async def until_asked(bench: Bench) -> None:
    async with asyncio.timeout(10):
        while not (bench.requests / UPDATE).exists():
            await asyncio.sleep(0.01)


async def test_a_version_is_fetched_handed_over_and_answered_when_the_system_has(bench: Bench) -> None:
    one = bench.updates()
    assert one.follow(command(), is_late=False) is None
    assert one.follow(command(), is_late=False) is None
    await until_asked(bench)
    inbox = bench.state / "update"
    assert (inbox / "bundle").read_bytes() == BUNDLE
    assert (inbox / "manifest").read_text() == release_text(RELEASE)
    assert ((inbox / "signature").read_bytes(), (inbox / "number").read_text()) == (b"s" * 64, NUMBER)
    (bench.requests / UPDATE).unlink()
    bench.says("trying", number=NUMBER, previous="/opt/bedside/versions/1.0-a")
    # The agent is another process now, and the command's time is over.
    after = bench.updates()
    assert after.follow(command(), is_late=True) is None
    bench.says("result", number=NUMBER, outcome="applied", reason="")
    assert after.follow(command(), is_late=True) == ""
    assert not (bench.requests / UPDATE).exists()


async def test_what_the_system_refuses_is_the_answer(bench: Bench) -> None:
    bench.says("result", number=NUMBER, outcome="refused", reason="this hub's release key has not signed it")
    assert bench.updates().follow(command(), is_late=False) == "this hub's release key has not signed it"


async def test_an_earlier_result_is_no_answer(bench: Bench) -> None:
    bench.says("result", number="00000000-0000-4000-8000-000000000099", outcome="applied", reason="")
    assert bench.updates().follow(command(), is_late=True) == "expired"


async def test_a_failure_that_can_pass_is_tried_again_and_one_that_cannot_is_said(
    bench: Bench, depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "PAUSE_SECONDS", 0.01)
    one = bench.updates()
    depot.status = 503
    async with asyncio.timeout(10):
        while len(depot.ranges) < 3:
            assert one.follow(command(), is_late=False) is None
            await asyncio.sleep(0.01)
        depot.status = 404
        while (said := one.follow(command(), is_late=False)) is None:
            await asyncio.sleep(0.01)
    assert said == "the cloud does not have that bundle"


@pytest.mark.parametrize(
    "fields", [{"manifest": "version 9"}, {"signature": "not base64"}, {"signature": "QUJD" * 50}, {"manifest": "é"}]
)
async def test_a_command_that_names_no_release_is_refused(bench: Bench, fields: dict[str, str]) -> None:
    assert bench.updates().follow(command(**fields), is_late=False) == NOT_SIGNED


async def test_a_hub_that_nobody_can_update_says_so(bench: Bench) -> None:
    bench.system.rmdir()
    assert bench.updates().follow(command(), is_late=False) == NO_INSTALLER


async def test_a_version_on_trial_says_once_that_it_reached_the_cloud(bench: Bench) -> None:
    calm = bench.updates()
    calm.reached_the_cloud()
    assert not (bench.requests / WORKS).exists(), "nobody waits for it"
    bench.says("trying", number=NUMBER, previous="/opt/bedside/versions/1.0-a")
    one = bench.updates()
    one.reached_the_cloud()
    assert (bench.requests / WORKS).read_text() == "/opt/bedside/versions/1.1-a"
    (bench.requests / WORKS).unlink()
    one.reached_the_cloud()
    assert not (bench.requests / WORKS).exists()
