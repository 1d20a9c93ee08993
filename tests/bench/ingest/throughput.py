"""How many readings a second one ingest process stores, from the broker's stream to commit and receipt.

The stream is full before ingest starts, so that nothing but ingest is measured; then, with ingest running, batches
come one by one and the time from publishing each to its receipt is taken. The yardstick is PostgreSQL's own COPY of
the same rows into a table with the same keys, in the same run. Registry and alerting are played by the benchmark.
"""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg
from tests.bench.figures import Figure, percentile
from tests.support.clock import NOON_MS
from tests.support.engines import running_engines, service_process
from tests.support.nats import TestBroker
from tests.support.readings import reading

from bedside_cloud.bus.connection import Bus, Endpoint
from bedside_cloud.contracts import registry
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import STORED_READINGS
from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot
from bedside_profiles.wire.batch import Batch, encode_batch, header_for
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.receipt import Receipt
from bedside_profiles.wire.topics import DownLane, UpLane, subject

READINGS_A_BATCH = 200
HUBS, BATCHES_A_HUB = 100, 10
LONG_HUBS = 1000
PACED_BATCHES, PACED_READINGS, PACE_SECONDS = 300, 20, 0.01
STORE = "0" * 31 + "1"


async def measure(*, long: bool) -> list[Figure]:
    """Readings a second, and the percentiles of the receipts' latency."""
    hubs = LONG_HUBS if long else HUBS
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder, running_engines(Path(folder)) as broker:
        async with AsyncExitStack() as stack:
            await _neighbours(stack, broker, hubs)
            hub = await stack.enter_async_context(Bus.open(broker.state.bus_settings(broker.hub_player)))
            receipts = await _listen(hub)
            async with service_process(broker, "ingest", "ingest"):
                pass  # It has made its schema and its streams.
            await _fill(hub, hubs)
            total = hubs * BATCHES_A_HUB * READINGS_A_BATCH
            async with service_process(broker, "ingest", "ingest"):
                a_second = await _rate(receipts, total)
                latencies = await _paced(hub, receipts)
            copied_a_second = _copy_rate(broker.state.postgres.dsn())
    against = "COPY of the same rows into a table with the same keys"
    return [
        Figure("readings_a_second", round(a_second), "1/s", against, round(a_second / copied_a_second, 3)),
        Figure("copied_a_second", round(copied_a_second), "1/s"),
        *(
            Figure(f"publish_to_receipt_p{percent}_ms", round(percentile(latencies, percent), 1), "ms")
            for percent in (50, 95, 99)
        ),
    ]


async def _neighbours(stack: AsyncExitStack, broker: TestBroker, hubs: int) -> None:
    snapshot = AssignmentSnapshot(
        version=1,
        assignments=tuple(
            Assignment(device_id=f"device-{number}", patient_id=f"00000000-0000-4000-8000-{number:012}", from_ms=0)
            for number in range(hubs)
        ),
    )

    async def assignments(_question: Empty) -> AssignmentSnapshot:
        return snapshot

    bus = await stack.enter_async_context(Bus.open(broker.state.bus_settings("registry")))
    await bus.serve((Endpoint(registry.ASSIGNMENTS, Empty, assignments),))
    alerting = await stack.enter_async_context(Bus.open(broker.state.bus_settings("alerting")))

    async def answer(message: Any) -> None:
        await message.respond(b"{}")

    await alerting.client.subscribe(STORED_READINGS, cb=answer)


async def _listen(hub: Bus) -> "asyncio.Queue[tuple[float, Receipt]]":
    receipts: asyncio.Queue[tuple[float, Receipt]] = asyncio.Queue()

    async def on_receipt(_subject: str, body: bytes) -> None:
        receipts.put_nowait((time.perf_counter(), decode(Receipt, body)))

    await hub.subscribe(subject("*", DownLane.RECEIPTS), on_receipt)
    return receipts


def _batch(number: int, first_seq: int, rows: int) -> bytes:
    readings = [
        reading(
            float(90 + seq % 10),
            seq=seq,
            device_id=f"device-{number}",
            taken_at_ms=NOON_MS + seq * 1000,
            monotonic_ms=100_000 + seq * 1000,
        )
        for seq in range(first_seq, first_seq + rows)
    ]
    header = header_for(f"hub-{number}", STORE, UpLane.READINGS, [one.seq for one in readings])
    return encode_batch(Batch(header, tuple(readings)))


async def _fill(hub: Bus, hubs: int) -> None:
    """Put every batch into the stream; the broker has them all when this returns."""
    for place in range(BATCHES_A_HUB):
        for number in range(hubs):
            body = _batch(number, place * READINGS_A_BATCH + 1, READINGS_A_BATCH)
            # A request: the stream answers when it has the message.
            await hub.request_bytes(subject(f"hub-{number}", UpLane.READINGS), body)


async def _rate(receipts: "asyncio.Queue[tuple[float, Receipt]]", total: int) -> float:
    """Readings a second between the first receipt and the last."""
    settled: dict[str, int] = {}
    moments: list[tuple[float, int]] = []
    async with asyncio.timeout(300):
        while sum(settled.values()) < total:
            at, receipt = await receipts.get()
            settled[receipt.hub_id] = sum(last - first + 1 for first, last in receipt.stored)
            moments.append((at, sum(settled.values())))
    # What the first receipts speak of was stored before the clock started.
    (begun, before), (ended, after) = moments[min(200, len(moments) // 4)], moments[-1]
    return (after - before) / (ended - begun)


async def _paced(hub: Bus, receipts: "asyncio.Queue[tuple[float, Receipt]]") -> list[float]:
    """Milliseconds from publishing a small batch to its receipt, one batch every ten milliseconds."""
    latencies: list[float] = []
    published: dict[tuple[str, int], float] = {}
    first = BATCHES_A_HUB * READINGS_A_BATCH + 1

    async def take() -> None:
        async with asyncio.timeout(60):
            while len(latencies) < PACED_BATCHES:
                at, receipt = await receipts.get()
                known = [key for key in published if key[0] == receipt.hub_id and _covers(receipt, key[1])]
                latencies.extend((at - published.pop(key)) * 1000 for key in known)

    taking = asyncio.create_task(take())
    for place in range(PACED_BATCHES):
        number, seq = place % 50, first + (place // 50) * PACED_READINGS
        body = _batch(number, seq, PACED_READINGS)
        published[f"hub-{number}", seq + PACED_READINGS - 1] = time.perf_counter()
        await hub.publish_bytes(subject(f"hub-{number}", UpLane.READINGS), body)
        await asyncio.sleep(PACE_SECONDS)
    await taking
    return latencies[10:]


def _covers(receipt: Receipt, seq: int) -> bool:
    return any(first <= seq <= last for first, last in receipt.stored)


def _copy_rate(dsn: str) -> float:
    """PostgreSQL alone: rows as they lie in memory, in transactions of the size that ingest makes."""
    with psycopg.connect(dsn) as connection:
        statement = "SELECT * FROM ingest.readings ORDER BY stored_at, hub_id, seq LIMIT 200000"
        rows = connection.execute(statement).fetchall()
        columns = connection.execute("SELECT * FROM ingest.readings LIMIT 0").description
        assert columns is not None
        connection.execute("CREATE TABLE ingest.plain (LIKE ingest.readings INCLUDING ALL)")
        connection.commit()
        size = 64 * READINGS_A_BATCH
        begun = time.perf_counter()
        for start in range(0, len(rows), size):
            with connection.cursor() as cursor, cursor.copy("COPY ingest.plain FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types([column.type_code for column in columns])
                for row in rows[start : start + size]:
                    copy.write_row(row)
            connection.commit()
        return len(rows) / (time.perf_counter() - begun)
