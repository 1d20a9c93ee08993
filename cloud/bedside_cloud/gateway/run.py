"""Composition of the gateway: the console on loopback, the enrolment listener for hubs.

The only importer of uvicorn.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.fleet_api import PlaceAnswer
from bedside_cloud.database.pool import Database
from bedside_cloud.engines.certificates.authority import fingerprint
from bedside_cloud.gateway.app import make_app
from bedside_cloud.gateway.audit import Audit
from bedside_cloud.gateway.est import make_est
from bedside_cloud.gateway.peer import PeerProtocol, asking_for_certificates
from bedside_cloud.readiness import announce_ready
from bedside_cloud.settings import ServiceSettings

LOOPBACK = "127.0.0.1"
"""Without TLS the console is served here only; whoever publishes it puts a TLS proxy before it."""

GRACE_SECONDS = 2
"""Event streams never end by themselves: after this long a stopping server cuts them."""


class Server(uvicorn.Server):
    """A server that leaves signals to the process it runs in, which runs two of them. `up` is set once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not take the process's signal handlers."""
        yield


async def main(settings: ServiceSettings) -> None:
    """Serve until cancelled."""
    async with Database.open(settings.database, ()) as database, Bus.open(settings.bus) as bus:
        app, live, logins = make_app(bus, Audit(database), _place(settings), secure_cookies=False)
        await live.start()
        await logins.start()
        console = Server(_config(app, LOOPBACK, settings.ports.gateway))
        enrolment = Server(_enrolment_config(make_est(bus), settings))
        turns = asyncio.create_task(logins.run())
        try:
            await _serve(console, enrolment)
        finally:
            turns.cancel()


def _place(settings: ServiceSettings) -> PlaceAnswer:
    return PlaceAnswer(
        names=settings.names,
        hub_port=settings.ports.hubs,
        est_port=settings.ports.est,
        ca_sha256=fingerprint(settings.certificates.root()),
    )


async def _serve(*servers: Server) -> None:
    """Until cancelled, or until one of them fails. Then none of them listens any more."""
    running = {asyncio.create_task(server.serve()) for server in servers}
    up = asyncio.ensure_future(asyncio.gather(*(server.up.wait() for server in servers)))
    waited: set[asyncio.Future[Any]] = {up, *running}
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            announce_ready()
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for ended in running:
            if ended.done():
                ended.result()
    finally:
        up.cancel()
        for server in servers:
            server.should_exit = True
        await asyncio.wait(running, timeout=GRACE_SECONDS + 1)


def _config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _enrolment_config(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    config = _config(app, settings.listen, settings.ports.est)
    config.ssl_certfile = str(settings.certificates.certificate_file("est"))
    config.ssl_keyfile = str(settings.certificates.key_file("est"))
    config.ssl_version = ssl.PROTOCOL_TLS_SERVER
    config.http = PeerProtocol
    config.ssl_context_factory = lambda _, made: asking_for_certificates(made(), settings.certificates.ca_file)
    return config
