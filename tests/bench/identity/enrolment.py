"""A thousand hubs enrol over EST at once, as after a delivery: HTTPS, one claim each, a certificate each.

Gateway, identity (twice), broker and database are processes of their own. Every certificate is checked. The yardstick
is what one core signs when nothing else is to be done, in the same run.
"""

import asyncio
import base64
import ssl
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
from tests.bench.figures import Figure, percentile
from tests.bench.identity.fleet import AT_ONCE, claim_for, leaf_of, open_door, request_of
from tests.support.engines import running_engines, service_process

from bedside_cloud.engines.certificates import authority
from bedside_cloud.engines.certificates.authority import Issued, PrivateKey

HUBS, LONG_HUBS = 1000, 5000
SIGNED_ALONE = 500


async def measure(*, long: bool) -> list[Figure]:
    """Certificates a second, and how many hubs did not get theirs."""
    hubs = LONG_HUBS if long else HUBS
    async with AsyncExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="bedside-bench-"))
        broker = stack.enter_context(running_engines(Path(place)))
        door = await stack.enter_async_context(open_door(broker))
        await stack.enter_async_context(service_process(broker, "gateway", "gateway"))
        keys = [authority.new_key() for _ in range(hubs)]
        gate = asyncio.Semaphore(AT_ONCE)

        async def claimed(number: int) -> str:
            async with gate:
                return await claim_for(door, f"hub-{number}")

        claims = await asyncio.gather(*(claimed(number) for number in range(hubs)))
        certificates = broker.state.certificates
        issuing = certificates.issuing(broker.state.issuing_passphrase.reveal())
        url = f"https://127.0.0.1:{broker.state.place.ports.est}/.well-known/est/simpleenroll"
        tls = ssl.create_default_context(cafile=str(certificates.ca_file))
        client = await stack.enter_async_context(httpx.AsyncClient(verify=tls, timeout=60, trust_env=False))

        async def enrol(number: int) -> float | None:
            """Seconds until the hub has its certificate; None when it has none."""
            async with gate:
                began = time.perf_counter()
                hub_id, key = f"hub-{number}", keys[number]
                body = base64.b64encode(request_of(hub_id, key))
                answer = await client.post(url, content=body, auth=(hub_id, claims[number]))
                seconds = time.perf_counter() - began
                return seconds if answer.status_code == 200 and is_right(answer.content, hub_id, key, issuing) else None

        began = time.perf_counter()
        took = await asyncio.gather(*(enrol(number) for number in range(hubs)))
        a_second = hubs / (time.perf_counter() - began)
    alone = signed_alone(issuing)
    seconds = [one for one in took if one is not None]
    return [
        Figure(
            "certificates_a_second", round(a_second, 1), "1/s", "one core that signs alone", round(a_second / alone, 3)
        ),
        Figure("failures", hubs - len(seconds), "1"),
        Figure("enrolment_p99_s", round(percentile(seconds, 99), 2), "s"),
    ]


def is_right(body: bytes, hub_id: str, key: PrivateKey, issuing: Issued) -> bool:
    """Whether the answer holds this hub's certificate, for its own key, from the issuing authority."""
    leaf = leaf_of(base64.b64decode(body), hub_id)
    return leaf.public_key() == key.public_key() and authority.is_issued_by(leaf, issuing.certificate)


def signed_alone(issuing: Issued) -> float:
    """Certificates a second in this process."""
    key = authority.new_key().public_key()
    began = time.perf_counter()
    for number in range(SIGNED_ALONE):
        authority.issue_hub(issuing, f"hub-{number}", key, datetime.now(UTC))
    return SIGNED_ALONE / (time.perf_counter() - began)
