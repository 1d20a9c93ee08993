"""Many hubs at the cloud's door, each as small as can be: a key, a request, and an MQTT connection that is silent."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from tests.support.engines import service_process
from tests.support.nats import TestBroker

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.identity import EST_ENROL, CertificatesOnly, EnrolRequest
from bedside_cloud.contracts.identity_administration import CLAIM_CREATE, ClaimAnswer, ClaimRequest
from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import Certificate, PrivateKey

AT_ONCE = 32
"""Handshakes and enrolments under way: more only queue in this process."""

CONNECTED = b"\x20\x02\x00\x00"
"""CONNACK: accepted (MQTT 3.1.1, 3.2)."""


@dataclass(frozen=True, slots=True)
class Door:
    """The cloud's door: identity runs twice behind it."""

    broker: TestBroker
    operator: Bus
    gateway: Bus


@asynccontextmanager
async def open_door(broker: TestBroker) -> AsyncIterator[Door]:
    """While the block runs."""
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            await stack.enter_async_context(service_process(broker, "identity", f"identity-{number}"))
        users = [
            await stack.enter_async_context(Bus.open(broker.state.bus_settings(user)))
            for user in ("operator", "gateway")
        ]
        yield Door(broker, *users)


def request_of(hub_id: str, key: PrivateKey) -> bytes:
    """A certificate request, DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hub_id)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


def leaf_of(answer: bytes, hub_id: str) -> Certificate:
    """The hub's own certificate in a certs-only PKCS#7."""
    return next(one for one in pkcs7.load_der_pkcs7_certificates(answer) if authority.common_name(one) == hub_id)


async def claim_for(door: Door, hub_id: str) -> str:
    """A new claim."""
    return (await door.operator.request(CLAIM_CREATE, ClaimRequest(hub_id=hub_id), ClaimAnswer)).claim


async def enrolled(door: Door, hub_id: str, folder: Path) -> "SmallHub":
    """A hub with its certificate, straight at identity."""
    key = authority.new_key()
    question = EnrolRequest(hub_id=hub_id, claim=await claim_for(door, hub_id), csr_der=request_of(hub_id, key))
    answer = await door.gateway.request(EST_ENROL, question, CertificatesOnly)
    return small_hub(door.broker, hub_id, key, leaf_of(answer.pkcs7_der, hub_id), folder)


def small_hub(broker: TestBroker, hub_id: str, key: PrivateKey, leaf: Certificate, folder: Path) -> "SmallHub":
    """What connects with this certificate."""
    certificates = broker.state.certificates
    file = folder / f"{hub_id}.pem"
    issuing = authority.certificates_from_pem(certificates.certificate_file("issuing").read_bytes())[0]
    file.write_bytes(authority.key_pem(key) + authority.certificate_pem(leaf, issuing))
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    context.load_cert_chain(file)
    file.unlink()
    return SmallHub(hub_id, broker.state.place.ports.hubs, context)


class SmallHub:
    """One MQTT 3.1.1 connection. `ended_at` is when the broker ended it, by `time.perf_counter`."""

    def __init__(self, hub_id: str, port: int, tls: ssl.SSLContext) -> None:
        self.hub_id = hub_id
        self.ended_at: float | None = None
        self.ended = asyncio.Event()
        self._port = port
        self._tls = tls
        self._writer: asyncio.StreamWriter | None = None
        self._watching: asyncio.Task[None] | None = None

    async def connect(self) -> bool:
        """Whether the broker lets it in."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
            writer.write(self._hello())
            answer = await reader.readexactly(len(CONNECTED))
        except (OSError, asyncio.IncompleteReadError):
            return False
        if answer != CONNECTED:
            writer.close()
            return False
        self._writer = writer
        self.ended.clear()
        self._watching = asyncio.create_task(self._watch(reader))
        return True

    def close(self) -> None:
        """Without a word."""
        if self._watching is not None:
            self._watching.cancel()
        if self._writer is not None:
            self._writer.transport.abort()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(4096):
                pass
        except OSError:
            pass
        self.ended_at = time.perf_counter()
        self.ended.set()

    def _hello(self) -> bytes:
        """CONNECT (3.1): clean session, no keep-alive."""
        name = self.hub_id.encode()
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
        return bytes((0x10, len(body))) + body


async def all_of(hubs: list[SmallHub]) -> int:
    """Connect them; how many were let in."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(hub: SmallHub) -> bool:
        async with gate:
            return await hub.connect()

    return sum(await asyncio.gather(*(one(hub) for hub in hubs)))
