"""What a broken or hostile hub sends delays and loses nothing else, and is kept before the hub is told.

The cloud is real and complete; the hub is a bare MQTT client with a certificate that it got by a claim.
"""

import hashlib
import os
import queue
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg.rows import dict_row
from tests.support.household import RunningHousehold, running_household
from tests.support.nats import HubCertificate, HubClient
from tests.support.readings import alarm, reading

from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.codec import decode_map, encode_map
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import DownLane, UpLane, topic
from bedside_sim.processes import ask, command

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]

HUB = "hub-broken"
STORE = "0123456789abcdef0123456789abcdef"
PATIENCE_SECONDS = 20.0
_sequences = iter(range(1, 10_000))


@dataclass(slots=True)
class BrokenHub:
    """An enrolled hub without an agent, and a look into the cloud's database."""

    household: RunningHousehold
    client: HubClient

    def send(self, lane: UpLane, body: bytes) -> None:
        self.client.publish(topic(HUB, lane), body)

    def receipt(self, wanted: Any) -> Receipt:
        """The next receipt that `wanted` says yes to."""
        while True:
            _, body = self.client.messages.get(timeout=PATIENCE_SECONDS)
            receipt = decode(Receipt, body)
            if wanted(receipt):
                return receipt

    def rows(self, table: str, where: str = "true") -> list[dict[str, Any]]:
        with psycopg.connect(self.household.endpoints["database_dsn"], row_factory=dict_row) as connection:
            statement = f"SELECT * FROM {table} WHERE hub_id = '{HUB}' AND {where}"  # noqa: S608
            return connection.execute(statement.encode()).fetchall()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHousehold, Path]]:
    """The cloud alone, and the identity of an enrolled hub."""
    folder = tmp_path_factory.mktemp("garbage")
    async with running_household(folder, start=False) as household:
        await household.start_cloud()
        ticket = await household.ask_cloud("fleet", "claim", "new", "--hub-id", HUB)
        hub = folder / "broken"
        await ask(command("bedside-agent"), "init", "--claim", ticket["text"], "--json", "--state", str(hub))
        yield household, hub / "identity"


@pytest.fixture
def hub(cloud: tuple[RunningHousehold, Path]) -> Iterator[BrokenHub]:
    client = connected(*cloud)
    yield BrokenHub(cloud[0], client)
    client.close()


def connected(household: RunningHousehold, identity: Path) -> HubClient:
    client = HubClient(
        port=household.endpoints["broker_port"],
        ca_file=identity / "ca.pem",
        client_id=HUB,
        certificate=HubCertificate(identity / "chain.pem", identity / "key.pem"),
    )
    assert client.connect()
    assert client.subscribe(topic(HUB, DownLane.RECEIPTS))
    return client


def batch(*values: float) -> tuple[list[int], bytes]:
    """A good batch of readings of a device that nobody has assigned, and its sequences."""
    sequences = [next(_sequences) for _ in values]
    readings = tuple(reading(value, seq=seq) for value, seq in zip(values, sequences, strict=True))
    return sequences, encode_batch(Batch(header_for(HUB, STORE, UpLane.READINGS, sequences), readings=readings))


def holds(receipt: Receipt, sequences: list[int]) -> bool:
    return receipt.lane is UpLane.READINGS and all(
        any(first <= seq <= last for first, last in receipt.stored) for seq in sequences
    )


GARBAGE = [b"", b"\xc1", b"not messagepack", b"\x80", os.urandom(2000), b"\xdf\xff\xff\xff\xff", b"\x91" * 5000]


async def test_garbage_on_any_topic_delays_nothing(hub: BrokenHub) -> None:
    for lane in UpLane:
        for body in GARBAGE:
            hub.send(lane, body)
    sequences, body = batch(97.0, 96.0)
    hub.send(UpLane.READINGS, body)
    hub.receipt(lambda receipt: holds(receipt, sequences))
    urgent = alarm(seq=1)
    hub.send(UpLane.ALARMS, encode_batch(Batch(header_for(HUB, STORE, UpLane.ALARMS, [1]), alarms=(urgent,))))
    hub.receipt(lambda receipt: receipt.lane is UpLane.ALARMS and receipt.stored == ((1, 1),))
    assert {row["seq"] for row in hub.rows("ingest.readings")} == set(sequences)
    kept = {(row["lane"], bytes(row["body"])) for row in hub.rows("ingest.dead_letters", "seq IS NULL")}
    batched = (UpLane.ALARMS, UpLane.READINGS, UpLane.WAVEFORMS, UpLane.EVENTS)
    assert kept == {(lane.value, body) for lane in batched for body in GARBAGE}
    processes = hub.household.status()["processes"]
    assert {row["name"]: row["restarts"] for row in processes if row["restarts"]} == {}, "no service fell over"


async def test_a_body_that_cannot_be_read_is_kept_before_the_hub_is_told_its_hash(hub: BrokenHub) -> None:
    body = os.urandom(500)
    sha256 = hashlib.sha256(body).hexdigest()
    hub.send(UpLane.READINGS, body)
    receipt = hub.receipt(lambda receipt: sha256 in {one.sha256 for one in receipt.undecodable})
    assert receipt.undecodable[0].reason
    (letter,) = hub.rows("ingest.dead_letters", f"sha256 = '{sha256}'")
    assert bytes(letter["body"]) == body


async def test_one_bad_reading_is_rejected_by_its_sequence_and_the_others_are_stored(hub: BrokenHub) -> None:
    sequences, body = batch(97.0, 96.0, 95.0)
    content = decode_map(body)
    content["columns"]["value"]["values"][1] = float("nan")  # type: ignore[index]
    hub.send(UpLane.READINGS, encode_map(content))
    receipt = hub.receipt(lambda receipt: holds(receipt, sequences))
    assert [one.seq for one in receipt.rejected] == [sequences[1]]
    (letter,) = hub.rows("ingest.dead_letters", f"seq = {sequences[1]}")
    assert "not a finite number" in letter["reason"]
    stored = {row["seq"] for row in hub.rows("ingest.readings")}
    assert stored.issuperset({sequences[0], sequences[2]})
    assert sequences[1] not in stored


async def test_readings_of_an_unassigned_device_are_stored_and_belong_to_nobody(hub: BrokenHub) -> None:
    sequences, body = batch(97.0)
    hub.send(UpLane.READINGS, body)
    hub.receipt(lambda receipt: holds(receipt, sequences))
    (row,) = hub.rows("ingest.readings", f"seq = {sequences[0]}")
    assert row["patient_id"] is None


async def test_ten_megabytes_in_pieces_are_dead_letters(hub: BrokenHub) -> None:
    pieces = [os.urandom(1_000_000) for _ in range(10)]
    waiting = {hashlib.sha256(piece).hexdigest() for piece in pieces}
    for piece in pieces:
        hub.send(UpLane.READINGS, piece)
    sequences, body = batch(97.0)
    hub.send(UpLane.READINGS, body)
    told: set[str] = set()
    while not told.issuperset(waiting):
        told |= {one.sha256 for one in hub.receipt(lambda receipt: receipt.undecodable).undecodable}
    lengths = [len(row["body"]) for row in hub.rows("ingest.dead_letters", "length(body) = 1000000")]
    assert lengths == [1_000_000] * 10
    assert {row["seq"] for row in hub.rows("ingest.readings")}.issuperset(sequences)


async def test_ten_megabytes_in_one_message_are_refused_by_the_broker_and_counted(
    hub: BrokenHub, cloud: tuple[RunningHousehold, Path]
) -> None:
    before = hub.rows("identity.hubs")[0]["oversized"]
    hub.send(UpLane.READINGS, os.urandom(10_000_000))
    assert hub.client.disconnected.get(timeout=PATIENCE_SECONDS) != 0
    await hub.household.until(lambda: hub.rows("identity.hubs")[0]["oversized"] == before + 1, "the count")
    assert hub.rows("ingest.dead_letters", "length(body) > 1000000") == []
    connected(*cloud).close()


async def test_a_lost_receipt_is_said_again_at_the_next_status(hub: BrokenHub) -> None:
    sequences, body = batch(97.0)
    hub.send(UpLane.READINGS, body)
    hub.receipt(lambda receipt: holds(receipt, sequences))
    with pytest.raises(queue.Empty):
        hub.client.messages.get(timeout=0.5)
    hub.send(UpLane.STATUS, b"anything: the subject alone says who asks")
    hub.receipt(lambda receipt: holds(receipt, sequences))
