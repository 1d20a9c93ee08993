"""The way to the broker through dead addresses and a resolver that hangs, lies or is gone. The sockets are real."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.linked_hub import linked_hub
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.readings import HUB
from tests.support.storing_cloud import StoringCloud, at_broker

from bedside_agent.uplink import route as route_module
from bedside_agent.uplink.connection import ConnectionFailedError, Message, connected
from bedside_agent.uplink.route import AddressInfo, Route

CA = certificates.Authority()
NAME = "broker.example"
DEAD, REFUSING, LIVE = "127.0.0.2", "127.0.0.3", "127.0.0.1"
SOON_SECONDS = 4.0
"""One dead address alone would take the client's own five."""


@dataclass
class Resolver:
    """What the machine's resolver says of every name, and how often it was asked."""

    addresses: list[str] = field(default_factory=list)
    asked: int = 0
    answers: threading.Event = field(default_factory=threading.Event)
    """While it is not set, whoever asks waits."""

    def getaddrinfo(self, host: str | bytes | None, port: int, *_: object, **__: object) -> list[AddressInfo]:
        self.asked += 1
        self.answers.wait(30)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, port, 0, 0))
            if ":" in one
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in self.addresses
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    one = Resolver()
    one.answers.set()
    monkeypatch.setattr(socket, "getaddrinfo", one.getaddrinfo)
    yield one
    one.answers.set()


@pytest.fixture
def port() -> Iterator[int]:
    """On `LIVE` somebody listens; `DEAD` takes no connection and says nothing, `REFUSING` says no."""
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(socket.create_server((LIVE, 0)))
        number = live.getsockname()[1]
        stack.enter_context(silent(DEAD, number))
        yield number


@contextlib.contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """An address whose queue of connections is full: the kernel drops every attempt without a word."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(full.getsockname())
        yield


async def opened(route: Route) -> str:
    """The address to which it connected."""
    async with asyncio.timeout(SOON_SECONDS):
        found = await route.open()
    with found:
        return str(found.getpeername()[0])


@pytest.mark.parametrize(
    "addresses",
    [
        [LIVE],
        [DEAD, LIVE],
        [REFUSING, LIVE],
        ["::1", LIVE],
        [DEAD, "::1", DEAD, REFUSING, DEAD, LIVE],
    ],
)
async def test_addresses_that_are_dead_hold_up_none_that_answers(
    resolver: Resolver, port: int, addresses: list[str]
) -> None:
    resolver.addresses = addresses
    assert await opened(Route(NAME, port)) == LIVE


async def test_a_resolver_that_hangs_is_not_waited_for_and_not_asked_twice(
    resolver: Resolver, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_module, "LOOKUP_SECONDS", 0.05)
    resolver.addresses = [LIVE]
    resolver.answers.clear()
    route = Route(NAME, port)
    for _ in range(3):
        with pytest.raises(OSError, match=f"where {NAME} is"):
            await opened(route)
    assert resolver.asked == 1
    resolver.answers.set()
    monkeypatch.undo()
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    assert await opened(route) == LIVE


@pytest.mark.parametrize("hangs", [True, False])
async def test_without_a_resolver_the_addresses_known_from_before_are_used(
    resolver: Resolver, port: int, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr(route_module, "IMPATIENT_SECONDS", 0.05)
    resolver.addresses = [LIVE]
    route = Route(NAME, port)
    assert await opened(route) == LIVE
    if hangs:
        resolver.answers.clear()
    resolver.addresses = []
    assert await opened(route) == LIVE
    # A broker that has moved is found as soon as somebody says so.
    resolver.addresses = [DEAD, LIVE]
    resolver.answers.set()
    assert await opened(route) == LIVE


async def test_a_broker_none_of_whose_addresses_answers_is_given_up_with_a_sentence(
    resolver: Resolver, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_agent.uplink.connection.CONNECT_SECONDS", 0.3)
    for addresses, sentence in (([DEAD], "none of its addresses"), ([REFUSING], "refused"), ([], "name resolution")):
        resolver.addresses = addresses
        with pytest.raises(ConnectionFailedError, match=sentence):
            async with connected(Route(NAME, port), None, HUB, will=Message("t", b""), subscribe=[]):
                pytest.fail("nobody is there")


@pytest.mark.mosquitto
@pytest.mark.parametrize("address", ["::1", LIVE])
async def test_a_hub_reaches_its_broker_past_a_dead_address_by_either_protocol(
    tmp_path: Path, resolver: Resolver, address: str
) -> None:
    require_mosquitto()
    broker = Mosquitto(tmp_path / "broker", CA, address=address)
    resolver.addresses = [address]
    broker.start()
    cloud = StoringCloud(HUB)
    try:
        resolver.addresses = [DEAD, address]
        with silent(DEAD, broker.port):
            async with linked_hub(tmp_path / "hub", broker.port, CA) as hub:
                async with asyncio.timeout(SOON_SECONDS):
                    while hub.link.health.connected_since_ms is None:
                        await asyncio.sleep(0.01)
                resolver.addresses = [address]
                async with at_broker(cloud, broker.port, CA, tmp_path / "cloud"):
                    hub.take(5)
                    await hub.until_settled()
    finally:
        broker.stop()
