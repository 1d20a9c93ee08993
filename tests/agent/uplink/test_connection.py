"""What the MQTT client does a moment too late."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.readings import HUB

from bedside_agent.uplink.connection import ForgivingLoop, connected
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.route import Route

CA = certificates.Authority()


async def test_a_socket_that_is_closed_before_it_is_registered_is_no_error() -> None:
    loop, errors = asyncio.get_running_loop(), list[Mapping[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    forgiving = ForgivingLoop(loop)
    near, far = socket.socketpair()
    descriptor = near.fileno()
    near.close()
    forgiving.call_soon_threadsafe(forgiving.add_writer, descriptor, lambda: None)
    await asyncio.sleep(0.01)
    assert errors == []
    loop.call_soon_threadsafe(loop.add_writer, descriptor, lambda: None)
    await asyncio.sleep(0.01)
    assert len(errors) == 1, "the loop itself minds"
    writable = asyncio.Event()
    forgiving.add_writer(far.fileno(), writable.set)
    await asyncio.wait_for(writable.wait(), 5)
    loop.remove_writer(far.fileno())
    far.close()


@pytest.mark.mosquitto
async def test_the_client_registers_with_it(tmp_path: Path) -> None:
    require_mosquitto()
    broker, identity = Mosquitto(tmp_path / "broker", CA), Identity(tmp_path / "identity")
    CA.write(identity.directory, CA.leaf(HUB))
    broker.start()
    try:
        route = Route("localhost", broker.port)
        async with connected(route, identity.tls_context(), HUB, will=None, subscribe=()) as connection:
            assert isinstance(connection._client._loop, ForgivingLoop)
    finally:
        broker.stop()
