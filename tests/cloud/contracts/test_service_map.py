"""The whole declared map against a real broker: what is in it works, and every edge that is not in it is refused."""

import itertools
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.support.nats import HUB_PLAYER, TestBroker, running_broker

from bedside_cloud.contracts.service_map import SERVICES, ServiceEntry
from bedside_cloud.engines.permissions import permissions_of
from bedside_profiles.wire.topics import DownLane, UpLane, subject

HUB = "hub-1"
NAMES = [entry.name for entry in SERVICES]
STREAMS = ("ALARMS", "READINGS")

NOBODYS = (
    "elsewhere",
    "identity.anything",
    "registry.patients",
    "registry.patients.list.more",
    "bedside.v1.hubs",
    "bedside.v1.hubs.hub-1.readings.more",
    "$SYS.REQ.SERVER.PING",
    "$SYS.ACCOUNT.BEDSIDE.DISCONNECT",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.CREATE.OTHER",
    "$MQTT.sess.x",
    *(f"$JS.API.{verb}.{stream}" for verb in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.GET") for stream in STREAMS),
    *(f"$JS.API.CONSUMER.DELETE.{stream}.ingest" for stream in STREAMS),
)
"""Subjects that no service may publish on, whatever it is."""

WILDCARDS = (
    ">",
    "*",
    "*.>",
    "bedside.>",
    "bedside.v1.hubs.>",
    "_INBOX.>",
    "$JS.>",
    "$SYS.>",
    "registry.>",
    "identity.>",
)


def concrete(pattern: str) -> str:
    """A pattern of the map as one hub's subject."""
    return pattern.replace("*", HUB)


def declared(entry: ServiceEntry) -> set[str]:
    """Every subject of one row."""
    return {concrete(one) for one in (*entry.publishes, *entry.subscribes, *entry.serves, *entry.requests)}


LANES = {subject(HUB, lane) for lane in (*UpLane, *DownLane)}
INBOXES = {f"_INBOX.{name}.x" for name in NAMES}


def of_streams(entry: ServiceEntry) -> set[str]:
    """What a service says to make the row's streams and consumers, read them and acknowledge."""
    durable = ("CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE", "CONSUMER.INFO", "CONSUMER.MSG.NEXT")
    plain = ("STREAM.INFO", "STREAM.CREATE", "STREAM.UPDATE")
    return {
        one
        for stream in entry.streams
        for one in (
            *(f"$JS.API.{verb}.{stream}" for verb in plain),
            *(f"$JS.API.{verb}.{stream}.{entry.name}" for verb in durable),
            f"$JS.ACK.{stream}.{entry.name}.1.2.3.4.5",
        )
    }


def discovered(entry: ServiceEntry) -> set[str]:
    """Where a service that answers is looked for."""
    return {
        f"$SRV.{verb}{rest}"
        for verb in ("PING", "INFO", "STATS")
        for rest in ("", f".{entry.name}", f".{entry.name}.1")
    }


EVERYTHING = (
    set().union(*map(declared, SERVICES), *map(of_streams, SERVICES), *map(discovered, SERVICES))
    | LANES
    | INBOXES
    | set(NOBODYS)
)


def may_publish(entry: ServiceEntry) -> set[str]:
    """What a row lets its service say."""
    ours = {concrete(one) for one in (*entry.publishes, *entry.requests)}
    # A stream's subjects are the same for each service that has it, whatever the consumer is called.
    streams = {one for other in SERVICES for one in of_streams(other) if set(one.split(".")) & set(entry.streams)}
    return ours | streams


def may_subscribe(entry: ServiceEntry) -> set[str]:
    """What a row lets its service hear."""
    discovery = discovered(entry) if entry.serves else set()
    return {concrete(one) for one in (*entry.subscribes, *entry.serves)} | {f"_INBOX.{entry.name}.x"} | discovery


def covers(pattern: str, one: str) -> bool:
    """Whether the broker takes the subject for one of the pattern's."""
    wanted, said = pattern.split("."), one.split(".")
    if wanted[-1] == ">":
        return len(said) >= len(wanted) and covers(".".join(wanted[:-1]), ".".join(said[: len(wanted) - 1]))
    return len(wanted) == len(said) and all(want in ("*", word) for want, word in zip(wanted, said, strict=True))


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.name)
def test_a_generated_line_that_is_deleted_is_missed(entry: ServiceEntry) -> None:
    """By the two tests against the broker below: something that the row allows is covered by that line alone."""
    permissions = permissions_of(entry)
    for lines, allowed in (
        (permissions.publish, may_publish(entry)),
        (permissions.subscribe, may_subscribe(entry)),
    ):
        for line in lines:
            rest = [one for one in lines if one is not line]
            missed = {one for one in allowed if covers(line, one) and not any(covers(other, one) for other in rest)}
            assert missed, f"{entry.name}: nothing would be refused without {line}"


@dataclass(slots=True)
class User:
    """A bus user's raw connection, and what the broker refused it (lower case, as the library has it)."""

    client: Client
    refusals: list[str] = field(default_factory=list)

    async def refused(self, kind: str, subjects: set[str]) -> set[str]:
        """Which of `subjects` were refused."""
        # The library's first ping overtakes what is not written yet; the second one comes after all answers.
        for _ in range(2):
            await self.client.flush()
        return {
            one for one in subjects if f'nats: permissions violation for {kind} to "{one.lower()}"' in self.refusals
        }


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    with running_broker(tmp_path_factory.mktemp("map")) as running:
        yield running


@asynccontextmanager
async def connected(broker: TestBroker, name: str) -> AsyncIterator[User]:
    settings = broker.state.bus_settings(name)
    refusals: list[str] = []

    async def on_error(error: Exception) -> None:
        refusals.append(str(error))

    client = await nats.connect(
        settings.url,
        tls=ssl.create_default_context(cafile=str(settings.ca_file)),
        nkeys_seed=str(settings.seed_file),
        inbox_prefix=f"_INBOX.{name}".encode(),
        error_cb=on_error,
        allow_reconnect=False,
    )
    try:
        yield User(client, refusals)
    finally:
        await client.close()


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.name)
async def test_a_service_says_what_its_row_says_alone(shared_broker: TestBroker, entry: ServiceEntry) -> None:
    async with connected(shared_broker, entry.name) as user:
        for one in EVERYTHING:
            await user.client.publish(one, b"")
        assert await user.refused("publish", EVERYTHING) == EVERYTHING - may_publish(entry)


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.name)
async def test_a_service_hears_what_its_row_says_alone(shared_broker: TestBroker, entry: ServiceEntry) -> None:
    asked = EVERYTHING | set(WILDCARDS)
    async with connected(shared_broker, entry.name) as user:
        for one in asked:
            await user.client.subscribe(one)
        assert await user.refused("subscription", asked) == asked - may_subscribe(entry)


async def test_every_edge_of_the_map_carries(shared_broker: TestBroker) -> None:
    async with AsyncExitStack() as stack:
        users = {
            entry.name: await stack.enter_async_context(connected(shared_broker, entry.name))
            for entry in (*SERVICES, HUB_PLAYER)
        }
        heard: dict[tuple[str, str], set[bytes]] = {}

        async def listen(name: str, where: str) -> None:
            heard[name, where] = set()

            async def on_message(message: Msg) -> None:
                heard[name, where].add(message.data)
                if message.reply:
                    await message.respond(f"{name} answers".encode())

            await users[name].client.subscribe(where, cb=on_message)
            await users[name].refused("subscription", set())

        for entry in (*SERVICES, HUB_PLAYER):
            for pattern in (*entry.subscribes, *entry.serves):
                if not pattern.startswith("$SYS"):
                    await listen(entry.name, concrete(pattern))
        for entry in (*SERVICES, HUB_PLAYER):
            for pattern in entry.publishes:
                await users[entry.name].client.publish(concrete(pattern), entry.name.encode())
            await users[entry.name].refused("publish", set())
        for entry in SERVICES:
            for asked in entry.requests:
                reply = await users[entry.name].client.request(asked, entry.name.encode(), timeout=5)
                assert reply.data == f"{server_of(asked)} answers".encode()
        for (name, where), said in heard.items():
            assert said == {speaker.encode() for speaker in speakers_of(where)}, f"{name} listens to {where}"
        assert {name: user.refusals for name, user in users.items() if user.refusals} == {}


def server_of(asked: str) -> str:
    """Who answers a request; exactly one service may."""
    (name,) = [entry.name for entry in SERVICES if asked in entry.serves]
    return name


def speakers_of(where: str) -> set[str]:
    """Who says or asks something there."""
    return {entry.name for entry in (*SERVICES, HUB_PLAYER) if where in {concrete(one) for one in entry.publishes}} | {
        entry.name for entry in SERVICES if where in entry.requests
    }


def test_every_subject_has_two_ends() -> None:
    requested = set(itertools.chain.from_iterable(entry.requests for entry in SERVICES))
    served = list(itertools.chain.from_iterable(entry.serves for entry in SERVICES))
    assert sorted(served) == sorted(requested), "each request has one server, and nothing is served that nobody asks"
    said = set(itertools.chain.from_iterable(entry.publishes for entry in (*SERVICES, HUB_PLAYER)))
    heard = set(itertools.chain.from_iterable(entry.subscribes for entry in (*SERVICES, HUB_PLAYER)))
    assert {one for one in heard if not one.startswith("$SYS")} - said == set(), "nobody listens for what nobody says"
    streamed = {subject("*", lane) for lane in (UpLane.ALARMS, UpLane.READINGS, UpLane.WAVEFORMS, UpLane.EVENTS)}
    assert said - streamed <= heard


def test_only_a_hubs_id_is_left_open() -> None:
    lanes = {subject("*", lane) for lane in (*UpLane, *DownLane)}
    everything = itertools.chain.from_iterable(
        (*entry.publishes, *entry.subscribes, *entry.serves, *entry.requests) for entry in SERVICES
    )
    assert {one for one in everything if "*" in one or ">" in one} <= lanes
