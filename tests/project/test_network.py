"""The slow link that other tests and benchmarks rely on: never faster than it says, and nothing lost or mixed up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.network import Bucket, Line, proxied


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def there_and_back(port: int, body: bytes) -> tuple[bytes, float]:
    """What came back, and the seconds it took."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = loop.time()
    writer.write(body)
    answer = await reader.readexactly(len(body))
    took = loop.time() - began
    writer.close()
    await writer.wait_closed()
    return answer, took


def test_pieces_queue_behind_one_another_and_an_idle_line_saves_nothing_up() -> None:
    line, bucket = Line(1000), Bucket()
    assert [bucket.leaves_at(500, line, now) for now in (0.0, 0.0, 0.1)] == [0.5, 1.0, 1.5]
    assert bucket.leaves_at(500, line, 60.0) == 60.5


@pytest.mark.parametrize("line", [None, Line(64_000), Line(64_000, 0.01, 0.05)])
async def test_what_goes_through_comes_out_whole_and_in_order(line: Line | None) -> None:
    body = b"".join(number.to_bytes(4, "big") for number in range(8_000))
    async with echo() as upstream, proxied(upstream, line) as proxy:
        answer, took = await there_and_back(proxy.port, body)
        assert answer == body
        assert proxy.carried_bytes == len(body)
        if line is not None:
            assert took >= len(body) / line.bytes_per_second


async def test_the_latency_is_taken_each_way() -> None:
    async with echo() as upstream, proxied(upstream, Line(1_000_000, 0.05, 0.06)) as proxy:
        _, took = await there_and_back(proxy.port, b"x")
        assert took >= 0.1


async def test_a_stalled_line_says_nothing_and_a_cut_one_resets() -> None:
    async with echo() as upstream, proxied(upstream, Line(1_000_000)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.stall()
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        proxy.restore()
        assert await reader.read(1) == b"x"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.transport.abort()


async def test_a_swallowed_connection_stays_silent_while_new_ones_work() -> None:
    async with echo() as upstream, proxied(upstream) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        proxy.swallow()
        writer.write(b"y")
        assert (await there_and_back(proxy.port, b"new"))[0] == b"new"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.transport.abort()
