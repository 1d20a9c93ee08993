"""TLS between a server and a hub that does not know what day it is."""

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests.support.certificates import END, Authority

from bedside_agent.uplink.dates import client_context
from bedside_agent.uplink.identity import Identity

FLOOR = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
FLOOR_MS = round(FLOOR.timestamp() * 1000)
FAR = dt.datetime(2045, 1, 1, tzinfo=dt.UTC)
"""A certificate that begins here is to this machine what today's is to one that woke up in 1970."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> None:
    """One connection over loopback; the client's error comes out."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            plain.settimeout(10)
            try:
                with server.wrap_socket(plain, server_side=True) as secure:
                    secure.sendall(b"!")
            except OSError:
                plain.close()

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            with (
                socket.create_connection(listening.getsockname(), 10) as plain,
                client.wrap_socket(plain, server_hostname=name) as secure,
            ):
                assert secure.recv(1) == b"!"
        finally:
            serving.join()


def trusting(authority: Authority, floor_ms: int | None) -> ssl.SSLContext:
    context = client_context(floor_ms)
    context.load_verify_locations(cadata=authority.root.der)
    return context


def test_a_hub_in_1970_connects_to_a_server_of_today(authority: Authority, tmp_path: Path) -> None:
    server = authority.server_context(tmp_path, authority.leaf("broker", start=FAR, end=END))
    with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
        handshake(trusting(authority, None), server)
    handshake(trusting(authority, FLOOR_MS), server)


@pytest.mark.parametrize(("days", "refused"), [(-1, True), (1, False)])
def test_a_certificate_that_had_expired_by_then_is_refused(
    authority: Authority, tmp_path: Path, days: int, refused: bool
) -> None:
    server = authority.server_context(tmp_path, authority.leaf("broker", end=FLOOR + dt.timedelta(days=days)))
    if not refused:
        handshake(trusting(authority, FLOOR_MS), server)
        return
    with pytest.raises(ssl.SSLCertVerificationError, match="had expired before 2026-06-01"):
        handshake(trusting(authority, FLOOR_MS), server)


def test_chain_and_name_are_checked_as_ever(authority: Authority, tmp_path: Path) -> None:
    server = authority.server_context(tmp_path, authority.leaf("broker", start=FAR))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"unable to get local issuer|self-signed"):
        handshake(trusting(Authority(), FLOOR_MS), server)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(trusting(authority, FLOOR_MS), server, "another.example")


def test_it_is_not_earlier_than_the_hubs_own_certificate(authority: Authority, tmp_path: Path) -> None:
    """The floor of a hub that was never told the time: the day on which it was enrolled."""
    authority.write(tmp_path / "hub", authority.leaf("hub-0001", start=FLOOR))
    context = Identity(tmp_path / "hub").tls_context(0)
    server = authority.server_context(tmp_path, authority.leaf("broker", end=FLOOR - dt.timedelta(days=1)))
    with pytest.raises(ssl.SSLCertVerificationError, match="had expired before 2026-06-01"):
        handshake(context, server)
