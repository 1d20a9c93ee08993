"""The gateway over HTTP, in a whole running installation: what is answered, to whom, and what is refused."""

import base64
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.core.result import Ok
from tests.support.household import RunningHousehold, household

from bedside_sim.household import HUB_ID

__all__ = ["household"]

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module")]

PAGE = {"accept": "text/html"}
NOBODY = "99999999-9999-4999-8999-999999999999"


@pytest_asyncio.fixture(loop_scope="module")
async def anyone(household: RunningHousehold) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is not logged in."""
    async with httpx.AsyncClient(base_url=household.url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def nurse(household: RunningHousehold) -> AsyncIterator[httpx.AsyncClient]:
    """A member of the care team."""
    async with logged_in(household, "nurse") as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def tech(household: RunningHousehold) -> AsyncIterator[httpx.AsyncClient]:
    """A technician."""
    async with logged_in(household, "tech") as client:
        yield client


def token(household: RunningHousehold, name: str) -> str:
    answer = httpx.post(f"{household.url}/api/v1/login", json={"name": name, "password": household.password(name)})
    assert answer.status_code == 200
    return str(answer.json()["access_token"])


def logged_in(household: RunningHousehold, name: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=household.url, headers={"authorization": f"Bearer {token(household, name)}"})


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("name", ["nurse", "tech"])
async def test_every_operation_answers_as_it_is_described(
    household: RunningHousehold, name: str, mode: GenerationMode
) -> None:
    schema = openapi.from_url(f"{household.url}/api/v1/openapi.json")
    schema.validate()
    headers = {"Authorization": f"Bearer {token(household, name)}"}
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == schema.statistic.operations.total >= 8
    # The token is good for nothing after this one.
    operations.sort(key=lambda operation: operation.path.endswith("/logout"))
    for operation in operations:

        @settings(max_examples=12, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def each(case: Case[Any]) -> None:
            case.validate_response(case.call(headers=headers), headers=headers)

        # Of an operation that takes nothing, or any text, there are no wrong calls.
        with contextlib.suppress(*(() if mode is GenerationMode.POSITIVE else (Unsatisfiable,))):
            each()


async def test_without_a_log_in_nothing_is_answered(household: RunningHousehold, anyone: httpx.AsyncClient) -> None:
    paths = (await anyone.get("/api/v1/openapi.json")).json()["paths"]
    asked = 0
    for path, operations in paths.items():
        where = path.format(patient_id=household.patient_id, metric="spo2", signal="ecg", alert_id=NOBODY)
        for method in operations:
            if path == "/api/v1/login":
                continue
            asked += 1
            for token_sent in ("", "Bearer", "Bearer x.y.z", f"Bearer {unsigned()}", "Basic bnVyc2U6eA=="):
                headers = {"authorization": token_sent} if token_sent else {}
                answer = await anyone.request(method, where, headers=headers)
                assert (answer.status_code, answer.json()) == (401, {"detail": "Log in first."}), (where, token_sent)
    assert asked >= 7
    for path in ("/", f"/patients/{household.patient_id}", "/events", "/fragments/worklist"):
        assert (await anyone.get(path)).status_code == 401
        page = await anyone.get(path, headers=PAGE)
        assert (page.status_code, page.headers["location"]) == (303, "/login")


def unsigned() -> str:
    """A token that says of itself that it needs no signature."""
    parts = (b'{"alg":"none","typ":"JWT"}', b'{"sub":"1","name":"nurse","role":"nurse","exp":9999999999}', b"")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


async def test_what_is_not_in_ones_care_is_as_if_it_were_not(
    household: RunningHousehold, nurse: httpx.AsyncClient, tech: httpx.AsyncClient
) -> None:
    time = {"from_ms": 0, "until_ms": 1}
    forbidden = (403, {"detail": "Not in your care, or it does not exist."})
    for client, method, path in (
        (nurse, "GET", "/api/v1/hubs"),
        (nurse, "GET", "/api/v1/devices/unassigned"),
        (nurse, "GET", f"/api/v1/patients/{NOBODY}/trends/spo2"),
        (nurse, "POST", f"/api/v1/alerts/{NOBODY}/acknowledge"),
        (nurse, "POST", "/api/v1/alerts/no-id-at-all/acknowledge"),
        (tech, "GET", f"/api/v1/patients/{household.patient_id}/trends/spo2"),
        (tech, "POST", f"/api/v1/alerts/{NOBODY}/acknowledge"),
    ):
        answer = await client.request(method, path, params=time)
        assert (answer.status_code, answer.json()) == forbidden, path
    assert (await tech.get("/api/v1/patients")).json() == {"patients": []}
    assert (await tech.get("/api/v1/readings/latest")).json() == {"readings": []}
    assert (await tech.get("/api/v1/alerts")).json() == {"alerts": []}
    assert [one["patient_id"] for one in (await nurse.get("/api/v1/patients")).json()["patients"]] == [
        household.patient_id
    ]
    assert (await nurse.get(f"/api/v1/patients/{household.patient_id}/trends/spo2", params=time)).status_code == 200


async def test_the_fleet_is_technicians_alone(nurse: httpx.AsyncClient, tech: httpx.AsyncClient) -> None:
    paths = (await tech.get("/api/v1/openapi.json")).json()["paths"]
    fleet = [(path, method) for path in paths if path.startswith("/api/v1/fleet/") for method in paths[path]]
    assert len(fleet) == 21
    for path, method in fleet:
        assert (await nurse.request(method, path, json={})).status_code == 403, path
    hubs = (await tech.post("/api/v1/fleet/registry.hubs.list", json={})).json()
    assert [one["hub_id"] for one in hubs["hubs"]] == [HUB_ID]
    assert (await tech.post("/api/v1/fleet/registry.patients.all", json={})).status_code == 404


async def test_an_address_that_is_none_is_said_in_a_sentence(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/api/v1/nothing")).json() == {"detail": "There is no such address."}
    page = await anyone.get("/nothing", headers=PAGE)
    assert page.status_code == 404
    assert "There is no such page" in page.text
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/.well-known/est/cacerts", "/docs", "/openapi.json"):
        assert (await anyone.get(path)).status_code == 404, path


async def test_every_answer_carries_the_headers_that_protect_it(
    anyone: httpx.AsyncClient, nurse: httpx.AsyncClient
) -> None:
    answers = [
        *[await anyone.get(path, headers=PAGE) for path in ("/login", "/", "/nothing", "/static/console.js")],
        *[await nurse.get(path) for path in ("/", "/api/v1/patients", "/api/v1/hubs")],
        await anyone.post("/login", data={}, headers={"origin": "https://elsewhere.example"}),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "server" not in answer.headers
        assert ("no-store" in answer.headers.get("cache-control", "")) is ("static" not in str(answer.url))


async def test_the_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends(
    household: RunningHousehold, anyone: httpx.AsyncClient
) -> None:
    form = {"name": "nurse", "password": household.password("nurse")}
    answer = await anyone.post("/login", data=form, headers={"origin": household.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age="))
    assert (await anyone.get("/")).status_code == 200
    await anyone.post("/logout")
    assert "bedside_session" not in anyone.cookies
    assert (await anyone.get("/")).status_code == 401


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
async def test_what_another_site_sends_is_refused(
    household: RunningHousehold, nurse: httpx.AsyncClient, origin: str
) -> None:
    form = {"name": "nurse", "password": household.password("nurse")}
    for path in ("/login", "/logout", f"/alerts/{NOBODY}/acknowledge", f"/api/v1/alerts/{NOBODY}/acknowledge"):
        answer = await nurse.post(path, data=form, headers={"origin": origin})
        assert (answer.status_code, answer.text) == (403, "This request came from another site."), path
        assert "set-cookie" not in answer.headers


async def pieces() -> AsyncIterator[bytes]:
    """A body of a length that nobody knows before its end."""
    yield b"{}"


async def test_a_log_in_that_is_wrong_empty_or_huge_is_refused_plainly(anyone: httpx.AsyncClient) -> None:
    for form in ({}, {"name": "nobody\0", "password": "x"}, {"name": "somebody"}):
        page = await anyone.post("/login", data=form)
        # Whoever tried the same name often before is told to wait; other tests here try the empty one.
        sentence = {
            401: "That name and password do not fit together.",
            429: "Too many tries. Wait a minute, then try again.",
        }[page.status_code]
        assert sentence in page.text
    said = await anyone.post("/login", data={"name": "<script>alert(1)</script>", "password": "x"})
    assert "<script>alert" not in said.text
    huge = {"name": "nobody", "password": "x" * 100_000}
    assert (await anyone.post("/login", data=huge)).status_code == 413
    assert (await anyone.post("/api/v1/login", json=huge)).status_code == 413
    assert (await anyone.post("/api/v1/login", content=pieces())).status_code == 411


@pytest_asyncio.fixture(loop_scope="module")
async def est(household: RunningHousehold) -> AsyncIterator[httpx.AsyncClient]:
    """The enrolment listener as a hub sees it: over TLS, checked against the installation's own root."""
    trust = ssl.create_default_context(cafile=household.endpoints["ca_file"])
    async with httpx.AsyncClient(base_url=f"{household.endpoints['est_url']}/.well-known/est", verify=trust) as client:
        yield client


def request_for(hub_id: str) -> str:
    """A PKCS#10 request as EST sends it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hub_id)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return base64.b64encode(csr.public_bytes(Encoding.DER)).decode()


async def test_the_enrolment_listener_hands_out_the_chain(household: RunningHousehold, est: httpx.AsyncClient) -> None:
    answer = await est.get("/cacerts")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    chain = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.text))
    with open(household.endpoints["ca_file"], "rb") as file:  # noqa: ASYNC230 - a small file of our own
        root = x509.load_pem_x509_certificate(file.read())
    assert root in chain
    with pytest.raises(httpx.TransportError):
        await est.get(str(est.base_url).replace("https", "http"))
    assert (await est.get("/../../login")).status_code == 404


async def test_a_claim_is_good_for_one_hub_and_one_time(household: RunningHousehold, est: httpx.AsyncClient) -> None:
    hub_id = f"hub-{secrets.token_hex(4)}"
    ticket = await household.ask_cloud("fleet", "claim", "new", "--hub-id", hub_id)
    claim = ticket["claim"]
    kind = {"content-type": "application/pkcs10"}

    async def enrol(user: str, password: str, body: str) -> httpx.Response:
        return await est.post("/simpleenroll", content=body, headers=kind, auth=(user, password))

    bare = await est.post("/simpleenroll", content=request_for(hub_id), headers=kind)
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, 'Basic realm="est"')
    assert (await enrol(hub_id, "not-the-claim", request_for(hub_id))).status_code == 401
    assert (await enrol("hub-of-another", claim, request_for("hub-of-another"))).status_code == 401
    for garbage in ("", "not base64 at all!", base64.b64encode(b"not a request").decode(), "A" * 40_000):
        assert (await enrol(hub_id, claim, garbage)).status_code == 400, garbage[:20]
    assert (await enrol(hub_id, claim, request_for("hub-of-another"))).status_code in (400, 401, 403)
    granted = await enrol(hub_id, claim, request_for(hub_id))
    assert granted.status_code == 200
    names = [one.subject.rfc4514_string() for one in pkcs7.load_der_pkcs7_certificates(base64.b64decode(granted.text))]
    assert any(hub_id in name for name in names)
    assert (await enrol(hub_id, claim, request_for(hub_id))).status_code == 401
