"""What the MQTT client does a moment too early, and a moment too late."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.support.mosquitto import Mosquitto, require_mosquitto
from tests.support.readings import HUB

from bedside_agent.uplink.connection import PatientLoop, connected
from bedside_agent.uplink.identity import Identity
from bedside_agent.uplink.route import Route

CA = certificates.Authority()


async def test_a_socket_that_is_closed_before_it_is_registered_is_no_error() -> None:
    loop, errors = asyncio.get_running_loop(), list[Mapping[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    forgiving = PatientLoop(loop)
    forgiving.release()
    near, far = socket.socketpair()
    descriptor = near.fileno()
    near.close()
    for register in (forgiving.add_writer, forgiving.add_reader):
        forgiving.call_soon_threadsafe(register, descriptor, lambda: None)
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


async def test_the_loop_touches_nothing_while_another_thread_connects() -> None:
    patient, done = PatientLoop(asyncio.get_running_loop()), list[int]()
    for number in range(3):
        await asyncio.to_thread(patient.call_soon_threadsafe, done.append, number)
    await asyncio.sleep(0.05)
    assert done == []
    await asyncio.to_thread(patient.release)
    await asyncio.sleep(0.05)
    assert done == [0, 1, 2]
    patient.call_soon_threadsafe(done.append, 3)
    await asyncio.sleep(0.05)
    assert done == [0, 1, 2, 3]


@pytest.mark.mosquitto
async def test_the_client_connects_and_registers_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_mosquitto()
    broker, identity = Mosquitto(tmp_path / "broker", CA), Identity(tmp_path / "identity")
    CA.write(identity.directory, CA.leaf(HUB))
    broker.start()
    held_at_first: list[bool] = []
    release = PatientLoop.release

    def looking(loop: PatientLoop) -> None:
        held_at_first.append(bool(loop._held))
        release(loop)

    monkeypatch.setattr(PatientLoop, "release", looking)
    try:
        route = Route("localhost", broker.port)
        async with connected(route, identity.tls_context(), HUB, will=None, subscribe=()) as connection:
            loop: object = connection._client._loop
            assert isinstance(loop, PatientLoop)
            assert held_at_first == [True], "nothing was done on the loop before the client had connected"
            assert loop._held is None
    finally:
        broker.stop()
