"""A technician's desk with curl and openssl before the real enrolment listener, identity, broker and database."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.support.database import TestDatabase
from tests.support.nats import HubCertificate, HubClient, TestBroker
from tests.support.services import running_service, settings_of

from bedside_cloud.bus.connection import Bus
from bedside_cloud.contracts.identity_administration import (
    CLAIM_CREATE,
    HUB_ACCESS_SET,
    INCIDENTS,
    Access,
    ClaimAnswer,
    ClaimRequest,
    HubAccessAnswer,
    HubAccessRequest,
    IncidentKind,
    IncidentList,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.engines.audit import checked, deeds
from bedside_cloud.engines.certificates import authority
from bedside_cloud.gateway import run as gateway
from bedside_cloud.identity import run as identity

HUB = "hub-7"
EST = "/.well-known/est"
DAY = timedelta(days=1)


def ran(*command: str | Path, stdin: bytes = b"") -> bytes:
    """What the program prints; it must succeed."""
    result = subprocess.run([str(one) for one in command], input=stdin, capture_output=True, timeout=30, check=False)
    assert result.returncode == 0, f"{command}: {result.stdout!r}{result.stderr!r}"
    return result.stdout


@dataclass
class Desk:
    """A technician's, with curl and openssl; `clock` is what identity takes for the time, in days from now."""

    folder: Path
    url: str
    broker: TestBroker
    database: TestDatabase
    operator: Bus
    clock: list[timedelta]

    @property
    def ca(self) -> Path:
        return self.broker.state.certificates.ca_file

    async def curl(self, path: str, *options: str | Path, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body."""
        sending = ("--data-binary", "@-", "--header", "Content-Type: application/pkcs10") if body else ()
        status = await asyncio.to_thread(
            ran,
            *("curl", "--silent", "--show-error", "--cacert", self.ca, "--write-out", "%{http_code}"),
            *("--output", self.folder / "body"),
            *options,
            *sending,
            self.url + path,
            stdin=body,
        )
        return int(status), (self.folder / "body").read_bytes()

    def request(self, name: str, hub_id: str = HUB, *, serial: str = "") -> bytes:
        """A certificate request in base64, for a new key unless there is one of that name."""
        key = self.folder / f"{name}.key"
        if not key.exists():
            ran("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        subject = f"/CN={hub_id}" + (f"/serialNumber={serial}" if serial else "")
        der = ran("openssl", "req", "-new", "-key", key, "-subj", subject, "-outform", "DER")
        return base64.encodebytes(der)

    def keep(self, name: str, body: bytes) -> HubCertificate:
        """The certificates of an answer as files: leaf first, as TLS presents them."""
        pkcs7 = self.folder / f"{name}.p7"
        pkcs7.write_bytes(base64.b64decode(body))
        text = ran("openssl", "pkcs7", "-inform", "DER", "-in", pkcs7, "-print_certs")
        found = x509.load_pem_x509_certificates(text)
        found.sort(key=lambda one: one.subject.rfc4514_string() != f"CN={HUB}")
        chain = self.folder / f"{name}.pem"
        chain.write_bytes(authority.certificate_pem(*found))
        return HubCertificate(chain, self.folder / f"{name}.key")

    async def claim(self, hub_id: str = HUB, *, serial: str | None = None) -> str:
        request = ClaimRequest(hub_id=hub_id, hub_serial=serial)
        return (await self.operator.request(CLAIM_CREATE, request, ClaimAnswer)).claim

    async def enrolled(self, name: str = "first") -> HubCertificate:
        user = f"{HUB}:{await self.claim()}"
        status, body = await self.curl(EST + "/simpleenroll", "--user", user, body=self.request(name))
        assert status == 200, body
        return self.keep(name, body)

    async def renew(
        self, shown: HubCertificate, name: str, *, request: bytes = b"", path: str = EST + "/simplereenroll"
    ) -> tuple[int, bytes]:
        """With the certificate that is shown."""
        options = ("--cert", shown.certificate_file, "--key", shown.key_file)
        return await self.curl(path, *options, body=request or self.request(name))

    async def renewed(self, shown: HubCertificate, name: str) -> HubCertificate:
        status, body = await self.renew(shown, name)
        assert status == 200, body
        return self.keep(name, body)

    async def access(self, access: Access) -> None:
        await self.operator.request(HUB_ACCESS_SET, HubAccessRequest(hub_id=HUB, access=access), HubAccessAnswer)

    async def incidents(self) -> list[IncidentKind]:
        return [one.kind for one in (await self.operator.request(INCIDENTS, Empty(), IncidentList)).incidents]

    async def let_in(self, certificate: HubCertificate, client_id: str = HUB) -> bool:
        client = HubClient(self.broker.state.place.ports.hubs, self.ca, client_id, certificate)
        try:
            return await asyncio.to_thread(client.connect)
        finally:
            client.close()

    async def until_refused(self, certificate: HubCertificate) -> None:
        async with asyncio.timeout(10):
            while await self.let_in(certificate):
                await asyncio.sleep(0.05)

    def deeds(self) -> list[tuple[str, str]]:
        found = list(deeds(self.database.superuser_dsn))
        assert checked(found).entry_no == len(found)
        return [(one.actor, one.deed) for one in found]


@asynccontextmanager
async def open_desk(
    broker: TestBroker, database: TestDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """Identity twice, the enrolment listener, and a desk before them in an existing folder."""
    clock = [timedelta()]
    monkeypatch.setattr(identity, "utc_now", lambda: datetime.now(UTC) + clock[0])
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            settings = settings_of("identity", broker, database, f"identity-{number}")
            await stack.enter_async_context(running_service(identity.main, settings))
        await stack.enter_async_context(running_service(gateway.main, settings_of("gateway", broker, database)))
        operator = await stack.enter_async_context(Bus.open(broker.state.bus_settings("operator")))
        url = f"https://127.0.0.1:{broker.state.place.ports.est}"
        yield Desk(folder, url, broker, database, operator, clock)
