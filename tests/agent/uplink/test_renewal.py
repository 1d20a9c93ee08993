"""The exchange of a certificate for the next: when, in which order, and what a power cut leaves behind."""

import contextlib
import random
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.clock import ManualClock
from tests.support.est_server import EstServer, est_server
from tests.support.mosquitto import Mosquitto, free_port, require_mosquitto
from tests.support.readings import HUB

from bedside_agent.errors import EnrolmentError
from bedside_agent.uplink import renewal
from bedside_agent.uplink.connection import ConnectionFailedError
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.renewal import Place, Renewal, due_ms, pause_seconds
from bedside_agent.uplink.route import Route

CA = certificates.Authority()
DAY_MS = 86_400_000


def test_due_at_two_thirds_and_spread_over_a_day_and_a_quarter() -> None:
    begin_ms, end_ms = 1_000_000, 1_000_000 + 30 * DAY_MS
    assert due_ms(begin_ms, end_ms, 0.0) == begin_ms + 20 * DAY_MS
    assert due_ms(begin_ms, end_ms, 1.0) == begin_ms + round(21.25 * DAY_MS)


def test_pauses_grow_to_six_hours() -> None:
    assert [pause_seconds(failures, 1.0) for failures in (1, 2, 3, 9, 400)] == [60, 120, 240, 15_360, 21_600]
    assert pause_seconds(1, 0.0) == 30


@dataclass
class Home:
    """A hub's identity before an enrolment server and a broker; `port` is where the hub looks for the broker."""

    identity: Identity
    server: EstServer
    broker: Mosquitto
    port: int
    heard: list[str] = field(default_factory=list)

    def renewal(self, est_url: str | None = None) -> Renewal:
        url = f"https://localhost:{self.server.port}" if est_url is None else est_url
        return Renewal(
            Place(HUB, url, Route("localhost", self.port)),
            self.identity,
            ManualClock(),
            random.Random(1),
            lambda: None,
            lambda: 0,
            lambda: self.heard.append("renewed"),
            lambda reason: self.heard.append(reason or "well"),
        )

    def files(self) -> tuple[bytes, bytes]:
        """Key and certificate in use; they must belong together."""
        self.identity.tls_context()
        assert self.identity.is_enrolled()
        return self.identity.key.read_bytes(), self.identity.certificate.read_bytes()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    require_mosquitto()
    identity = Identity(tmp_path / "identity")
    CA.write(identity.directory, CA.leaf(HUB))
    broker = Mosquitto(tmp_path / "broker", CA)
    broker.start()
    try:
        with est_server(CA, {}, tmp_path / "est") as server:
            yield Home(identity, server, broker, broker.port)
    finally:
        broker.stop()


@pytest.mark.mosquitto
async def test_key_certificate_proof_exchange(home: Home) -> None:
    seen = [home.files()]
    for _ in range(3):
        await home.renewal().renew()
        seen.append(home.files())
        assert len(list(home.identity.directory.iterdir())) == 3, "the root, the link, and one folder"
    assert len({key for key, _ in seen}) == len({certificate for _, certificate in seen}) == 4
    assert home.heard == ["renewed"] * 3
    assert home.identity.key.stat().st_mode & 0o777 == 0o600
    assert home.server.paths == ["/.well-known/est/simplereenroll"] * 3


@pytest.mark.mosquitto
async def test_without_a_proof_nothing_is_exchanged_and_no_other_certificate_is_asked_for(home: Home) -> None:
    before = home.files()
    right, home.port = home.port, free_port()
    with pytest.raises(ConnectionFailedError):
        await home.renewal().renew()
    assert home.files() == before
    home.port = right
    await home.renewal().renew()
    assert home.files() != before
    assert len(home.server.keys) == 1


@pytest.mark.mosquitto
async def test_a_certificate_that_is_never_let_in_is_thrown_away(home: Home) -> None:
    right, home.port = home.port, free_port()
    failing = home.renewal()
    for _ in range(renewal.MOST_PROOFS):
        with pytest.raises(ConnectionFailedError):
            await failing.renew()
    home.port = right
    await home.renewal().renew()
    assert len(home.server.keys) == 2
    assert len(set(home.server.keys)) == 1, "the same key: it has not failed"


@pytest.mark.mosquitto
@pytest.mark.parametrize("answer", [(503, b""), (401, b"replaced"), (403, b"suspended"), (200, b"nonsense")])
async def test_what_the_server_refuses_changes_nothing(home: Home, answer: tuple[int, bytes]) -> None:
    before = home.files()
    home.server.answer = answer
    with pytest.raises(EnrolmentError):
        await home.renewal().renew()
    assert home.files() == before


@pytest.mark.mosquitto
async def test_a_hub_that_does_not_know_where_to_renew_says_so(home: Home) -> None:
    with pytest.raises(EnrolmentError, match="does not know where"):
        await home.renewal("").renew()


@pytest.mark.mosquitto
async def test_a_server_of_another_root_is_told_nothing(home: Home, tmp_path: Path) -> None:
    before = home.files()
    with est_server(certificates.Authority(), {}, tmp_path / "other") as other:
        with pytest.raises(EnrolmentError, match="cannot be reached") as raised:
            await home.renewal(f"https://localhost:{other.port}").renew()
        assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)
        assert other.paths == []
    assert home.files() == before


class PowerCut(BaseException):
    """Nothing after it happens."""


@pytest.mark.mosquitto
@pytest.mark.parametrize("cut_at", range(10))
async def test_a_power_cut_at_any_step_leaves_one_whole_identity(
    home: Home, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    """Cut before each change of a name or a file, in turn; the hub then renews as if nothing had been."""
    before = home.files()
    steps: list[str] = []

    def cutting(patch: pytest.MonkeyPatch, name: str) -> None:
        original = getattr(Path, name)

        def step(self: Path, *arguments: object, **named: object) -> object:
            if home.identity.directory in self.parents:
                steps.append(name)
                if len(steps) > cut_at:
                    raise PowerCut
            return original(self, *arguments, **named)

        patch.setattr(Path, name, step)

    with monkeypatch.context() as patch, contextlib.suppress(PowerCut):
        for name in ("replace", "unlink", "symlink_to", "mkdir"):
            cutting(patch, name)
        await home.renewal().renew()
    after = home.files()
    assert (after == before) or (after[0] != before[0] and after[1] != before[1])
    await home.renewal().renew()
    assert home.files() != before
    assert len(steps) > cut_at, "there is such a step"
